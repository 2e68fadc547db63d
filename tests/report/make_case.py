"""Folders of one prediction for the page of one scan: maps of any mask, and a plausible result."""

from pathlib import Path

import numpy as np
from scipy import ndimage

from helper import ODD_AFFINES, blob_brain
from plgg.config import InferenceConfig
from plgg.core.files import write_json
from plgg.core.volume import Volume, apply_affine
from plgg.data.nifti.image import write_probability, write_volume
from plgg.data.quality import Attempt, Quality, Verdict
from plgg.data.result import (
    Component,
    Diameters,
    Input,
    Marker,
    Model,
    Result,
    Uncertainty,
    VolumeInterval,
)

CLASSES = ("BRAF fusion", "BRAF V600E", "other")
QUALITY = Quality(
    status="doubtful",
    verdicts=(
        Verdict(
            gate="brain-volume",
            status="doubtful",
            value=2381.7,
            limits="880 to 1890 mL",
            message="a brain of 2382 mL is implausible at 50 years",
            remedy="Check the voxel size in the header.",
        ),
        Verdict(
            gate="rotation", status="good", value=6.75, limits="30° or less", message="turned by 7°"
        ),
    ),
    attempts=(Attempt(engine="greedy", model="affine", start="mass", seconds=3.4, accepted=True),),
    stripping="none",
    atlas="SRI24",
    seconds={"registration": 3.4},
)
FAMILIAR = Verdict(
    gate="familiarity", status="good", value=0.8, limits="1.7 or less", message="like the others"
)


def marker(*, withheld=False, calibrated=True, clinical=True, classes=CLASSES):
    """A marker that is most probably of the first class."""
    share = dict(zip(classes, (0.74, 0.19, 0.07), strict=True))
    return Marker(
        classes=classes,
        probabilities=share,
        predicted=classes[0],
        calibrated=calibrated,
        withheld=withheld,
        statement=(
            "Withheld: its confidence is 74%, and at least 85% are wanted. A biopsy is needed to "
            "know."
            if withheld
            else f"{classes[0]}, with a probability of 74%."
        ),
        clinical_only=dict(zip(classes, (0.5, 0.3, 0.2), strict=True)) if clinical else None,
    )


def diameters_of(mask):
    """Lines along columns and rows of the fullest axial slice: not the largest ones."""
    if not mask.data.any():
        return None
    axis = int(np.argmax(np.abs(mask.affine[2, :3])))
    others = tuple(n for n in range(3) if n != axis)
    index = int(mask.data.sum(axis=others).argmax())
    inside = np.argwhere(mask.data.take(index, axis=axis))
    (r0, c0), (r1, c1) = inside.min(axis=0) - 0.5, inside.max(axis=0) + 0.5
    ends = [(r0, inside[:, 1].mean()), (r1, inside[:, 1].mean())]
    ends += [(inside[:, 0].mean(), c0), (inside[:, 0].mean(), c1)]
    world = apply_affine(mask.affine, np.insert(np.array(ends), axis, index, axis=1))
    first, second = np.linalg.norm(np.diff(world, axis=0)[[0, 2]], axis=1)
    if second > first:
        world, (first, second) = world[[2, 3, 0, 1]], (second, first)
    depth = mask.data.any(axis=others).sum() * mask.spacing_mm[axis]
    return Diameters(
        plane="axial",
        slice_index=index,
        largest_mm=first,
        perpendicular_mm=second,
        depth_mm=float(depth),
        product_mm2=first * second,
        ends_mm=tuple(tuple(point) for point in world.tolist()),
    )


def result_of(mask, **changes):
    """All that might be said of a mask; `changes` replace fields."""
    ml = float((mask.data > 0).sum() * mask.voxel_volume_ml)
    parts, n = ndimage.label(mask.data)
    sizes = ndimage.sum_labels(parts > 0, parts, range(1, n + 1)) * mask.voxel_volume_ml
    centres = ndimage.center_of_mass(parts > 0, parts, range(1, n + 1))
    components = [
        Component(volume_ml=v, centre_mm=tuple(apply_affine(mask.affine, np.array(c)).tolist()))
        for v, c in sorted(zip(sizes, centres, strict=True), key=lambda part: -part[0])
    ]
    fields = {
        "case_id": "P01",
        "patient_id": "P01",
        "age_years": 9.0,
        "sex": "F",
        "input": Input(path="/some/where/secret/P01_flair.nii.gz", kind="nifti", sha256="ab" * 32),
        "volume_ml": round(ml, 4),
        "volume_interval": VolumeInterval(
            low_ml=ml * 0.8, high_ml=ml * 1.25, level=0.9, n_patients=20
        ),
        "components": tuple(components),
        "diameters": diameters_of(mask),
        "uncertainty": Uncertainty(expected_dice=0.87, n_views=4, agreement=0.95),
        "change": None,
        "marker": marker(),
        "familiarity": FAMILIAR,
        "quality": QUALITY,
        "threshold": 0.45,
        "smallest_ml": 0.3,
        "models": (
            Model(
                sha256="cd" * 32,
                calibration_sha256="ef" * 32,
                preset="paper",
                arm="multitask",
                epoch=38,
                split=0,
                seed=1,
            ),
        ),
        "engine": "torch, cpu, bf16",
        "inference": InferenceConfig(),
        "versions": {"plgg": "0.1.0", "torch": "2.13.0"},
        "seconds": {"reading": 0.2, "registration": 3.4, "network": 5.1},
        "warnings": ("a brain of 2382 mL is implausible at 50 years",),
    }
    return Result(**(fields | changes))


def write_prediction(folder, mask, *, probability=None, with_uncertainty=True, **changes):
    """Write a prediction's folder; without a probability, that of a soft edge is made up."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if probability is None:
        probability = ndimage.gaussian_filter((mask.data > 0).astype(np.float32), 0.8)
    write_volume(folder / "mask.nii.gz", mask.with_data((mask.data > 0).astype(np.uint8)))
    write_probability(folder / "probability.nii.gz", mask.with_data(probability))
    if with_uncertainty:
        p = np.clip(probability, 1e-6, 1 - 1e-6)
        bits = -p * np.log2(p) - (1 - p) * np.log2(1 - p)
        write_probability(folder / "uncertainty.nii.gz", mask.with_data(bits))
    result = result_of(mask, **changes)
    write_json(folder / "result.json", result.model_dump(mode="json"))
    return folder


def make_case(folder, *, grid="ras", empty=False, **changes):
    """A brain with one tumour on one of the odd grids.

    Returns:
        The prediction's folder, the scan and the mask.
    """
    scan, mask = blob_brain(affine=ODD_AFFINES[grid])
    if empty:
        mask = Volume(np.zeros_like(mask.data), mask.affine)
    return write_prediction(folder, mask, **changes), scan, mask
