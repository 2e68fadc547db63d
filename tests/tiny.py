"""A cohort so small that training takes seconds: blob tumours whose brightness tells the class.

Written straight through `plgg.data.store_writing`, to test training without preprocessing.
"""

import numpy as np
import torch

from plgg.config import preset, with_settings
from plgg.core.placement import Placement, as_rows
from plgg.core.volume import Volume
from plgg.data.split import Split
from plgg.data.store import Store
from plgg.data.store_arrays import encode
from plgg.data.store_records import CaseRecord, Cohort, StoredCase
from plgg.data.store_writing import write_case, write_cohort

# Threads change the order of sums, and the tests share the machine.
torch.set_num_threads(1)

SPACING_MM = 4.0
SHAPE = (40, 48, 40)
SMALL_SHAPE = (24, 32, 24)
CLASSES = ("bright", "dark", "middle")
BRIGHTNESS = {"bright": 6.0, "middle": 4.0, "dark": 2.5, None: 4.0}
SETTINGS = (
    "grid.spacing_mm=4",
    "model.init_filters=8",
    "model.blocks_down=[1,1,1,1]",
    "patches.size=[24,24,24]",
    "patches.batch=2",
    "optimiser.epochs=3",
    "optimiser.learning_rate=0.001",
    "validate_every=1",
    "precision=fp32",
    # Blobs have no anatomy to register, and no skull.
    "preprocess.registration=centre",
    "preprocess.stripping=none",
)


def tiny_config(*settings):
    """The preset `small`, far smaller still; later settings win."""
    return with_settings(preset("small"), (*SETTINGS, *settings))


def blob_case(shape=SHAPE, *, marker="middle", seed=0):
    """Codes of an ellipsoid brain with one ball of a tumour, and the tumour's mask."""
    rng = np.random.default_rng(seed)
    size = np.array(shape, dtype=float)
    points = np.moveaxis(np.indices(shape), 0, -1) + 0.5
    brain = (np.square((points / size - 0.5) * 2.1)).sum(axis=-1) <= 1.0
    centre = size * rng.uniform(0.4, 0.6, size=3)
    tumour = np.linalg.norm(points - centre, axis=-1) <= size.min() * 0.18
    z_score = rng.normal(0.0, 0.5, shape) + BRIGHTNESS[marker] * tumour
    return encode(z_score, brain), tumour.astype(np.uint8)


def stored_case(case_id, *, patient_id=None, marker=None, has_mask=True, shape=SHAPE):
    """A record such as `cohort.json` holds."""
    return StoredCase(
        case_id=case_id,
        patient_id=patient_id or case_id,
        marker=marker,
        has_mask=has_mask,
        site=None,
        age_years=None,
        sex=None,
        flair=f"scans/{case_id}.nii.gz",
        flair_sha256=f"{case_id:0>64}",
        shape=shape,
    )


def tiny_store(
    folder,
    n=9,
    *,
    shape=SHAPE,
    no_mask=(),
    no_marker=(),
    classes=CLASSES,
    ages=(),
    first=0,
    columns=None,
):
    """Write `n` patients P00, P01, …, classes in turn; some of them of unknown mask or marker.

    `columns` are further ones of the manifest, a list of texts each; None is unknown.
    """
    cases = []
    for index in range(first, first + n):
        name = f"P{index:02d}"
        marker = classes[index % len(classes)]
        image, mask = blob_case(shape, marker=CLASSES[index % len(CLASSES)], seed=index)
        known = name not in no_mask
        case = stored_case(
            name, marker=None if name in no_marker else marker, has_mask=known, shape=shape
        )
        if ages:
            case = case.model_copy(update={"age_years": ages[index - first]})
        if columns:
            said = {name: texts[index - first] for name, texts in columns.items()}
            known_cells = {name: text for name, text in said.items() if text is not None}
            case = case.model_copy(update={"columns": known_cells})
        write_tiny_case(folder, case, image=image, mask=mask)
        cases.append(case)
    write_cohort(folder, Cohort(spacing_mm=SPACING_MM, classes=classes, cases=tuple(cases)))
    return Store(folder)


def write_tiny_case(folder, case, *, image, mask):
    """Write a case whose native grid is the store's, and its mask if it is to have one."""
    record = CaseRecord(
        case=case, spacing_mm=SPACING_MM, placement=_placement(case.shape), mask_sha256=None
    )
    known = mask if case.has_mask else None
    truth = None if known is None else Volume(known, np.array(record.placement.native_affine))
    write_case(folder, record, image=image, mask=known, truth=truth)


def _placement(shape):
    affine = as_rows(np.diag([-SPACING_MM, -SPACING_MM, SPACING_MM, 1.0]))
    return Placement(
        native_shape=shape,
        native_affine=affine,
        box_shape=shape,
        box_affine=affine,
        native_to_atlas=as_rows(np.eye(4)),
        method="none",
    )


def hand_split(store, *, validation=("P00",), test=("P01",), train=None):
    """A split made by hand; trains on what is in no other part unless told."""
    held = (*validation, *test)
    rest = tuple(case for case in store.by_id if case not in held)
    return Split(train=train or rest, validation=validation, test=test, k=0, seed=0)
