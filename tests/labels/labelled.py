"""Cases with labels: a tumour with a bright core, as masks hold it, in a store made by hand."""

import numpy as np

from plgg.config import Label, with_settings
from plgg.core.volume import Volume
from plgg.data.store import Store
from plgg.data.store_arrays import encode
from plgg.data.store_records import CaseRecord, Cohort
from plgg.data.store_writing import write_case, write_cohort
from tiny import CLASSES, SMALL_SHAPE, SPACING_MM, _placement, stored_case, tiny_config

LABELS = (Label(name="tumour", values=(1, 2)), Label(name="cyst", values=(2,)))
SETTING = "tasks.segmentation.labels={tumour: [1, 2], cyst: 2}"
LEARN = (
    SETTING,
    "patches.size=[24,32,24]",
    "optimiser.learning_rate=0.005",
    "optimiser.epochs=12",
    "patches.per_case=2",
    "loss.voxel_weight=1",
)


def labelled_config(*settings):
    """The tiny network with two regions."""
    return tiny_config(*LEARN, *settings)


def labelled_case(shape=SMALL_SHAPE, *, seed=0, cyst=True):
    """Codes of a brain with a bright tumour, which holds a dark cyst, and the regions' numbers."""
    rng = np.random.default_rng(seed)
    size = np.array(shape, dtype=float)
    points = np.moveaxis(np.indices(shape), 0, -1) + 0.5
    brain = np.square((points / size - 0.5) * 2.1).sum(axis=-1) <= 1.0
    distance = np.linalg.norm(points - size * rng.uniform(0.4, 0.6, size=3), axis=-1)
    tumour, inner = distance <= size.min() * 0.24, distance <= size.min() * 0.13
    inner = inner & cyst
    z_score = rng.normal(0.0, 0.3, shape) + 5.0 * tumour - 9.0 * inner
    return encode(z_score, brain), tumour.astype(np.uint8) + inner


def labelled_store(
    folder, n=8, *, whole_alone=(), without_cyst=(), shape=SMALL_SHAPE, grid="atlas"
):
    """Write patients; masks of some tell the whole tumour alone, and some have no cyst."""
    cases = []
    for index in range(n):
        name = f"P{index:02d}"
        image, numbers = labelled_case(shape, seed=index, cyst=name not in without_cyst)
        known = ("tumour",) if name in whole_alone else ("tumour", "cyst")
        if name in whole_alone:
            numbers = (numbers > 0).astype(np.uint8)
        case = stored_case(name, marker=CLASSES[index % 3], shape=shape)
        case = case.model_copy(update={"labels": known})
        record = CaseRecord(
            case=case,
            spacing_mm=SPACING_MM,
            grid=grid,
            placement=_placement(shape),
            mask_sha256=None,
            labels=LABELS,
        )
        affine = np.array(record.placement.native_affine)
        mask = (numbers > 0).astype(np.uint8)
        native = Volume(numbers, affine)
        write_case(
            folder,
            record,
            image=image,
            mask=mask,
            truth=Volume(mask, affine),
            labels=(numbers, native),
        )
        cases.append(case)
    cohort = Cohort(
        spacing_mm=SPACING_MM, grid=grid, labels=LABELS, classes=CLASSES, cases=tuple(cases)
    )
    write_cohort(folder, cohort)
    return Store(folder)


def with_labels(config):
    """Another config with these labels."""
    return with_settings(config, [SETTING])
