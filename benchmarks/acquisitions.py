"""How the plane of the acquisition changes an outline: isotropic scans made into thick slices.

    python benchmarks/acquisitions.py manifest.csv --out acquisitions [--model MODEL]

Each scan of the manifest (near-isotropic, with a mask) is averaged over slabs of 5 mm across the
axial, the coronal and the sagittal plane, as a scanner averages, and predicted from each by
`plgg.api.predict` as if it had been acquired so. The truth of a thick voxel is what more than half
of it is. Prints the Dice of each, or why a gate refused it; scans and predictions stay in `--out`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray

from plgg import api
from plgg.core.volume import Volume
from plgg.data.manifest import read_manifest
from plgg.data.nifti.image import read_volume, write_volume
from plgg.metrics.overlap import hard_dice
from plgg.predict.options import PredictOptions

THICK_MM = 5.0
PLANES = {"as it is": None, "sagittal": 0, "coronal": 1, "axial": 2}


def thick(volume: Volume, world: int) -> Volume:
    """Means over slabs of about 5 mm along the axis next to a world axis, float32."""
    axes = nibabel.orientations.io_orientation(volume.affine)[:, 0]
    axis = int(np.flatnonzero(axes == world)[0])
    joined = max(1, round(THICK_MM / float(volume.spacing_mm[axis])))
    data = np.moveaxis(volume.data.astype(np.float32), axis, 0)
    n = len(data) // joined
    data = data[: n * joined].reshape(n, joined, *data.shape[1:]).mean(axis=1)
    step = np.eye(4)
    step[axis, axis], step[axis, 3] = joined, (joined - 1) / 2
    return Volume(np.moveaxis(data, 0, axis), volume.affine @ step)


def acquired(flair: Volume, mask: Volume, world: int | None) -> tuple[Volume, NDArray[np.bool_]]:
    """A scan and its truth as a plane's acquisition would have them."""
    if world is None:
        return flair, mask.data > 0
    whole = mask.with_data((mask.data > 0).astype(np.float32))
    return thick(flair, world), thick(whole, world).data > 0.5


def main() -> None:
    """Predict every scan from every acquisition, and score."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", type=Path)
    options = parser.parse_args()
    truths, files = {}, []
    for case in read_manifest(options.manifest):
        if case.mask is None or case.flair is None:
            continue
        flair, mask = read_volume(case.flair), read_volume(case.mask)
        for plane, world in PLANES.items():
            name = f"{case.patient_id}-{plane.replace(' ', '-')}"
            scan, truths[name] = acquired(flair, mask, world)
            files.append(options.out / "scans" / f"{name}.nii.gz")
            write_volume(files[-1], scan)
    predictions = options.out / "predictions"
    outcomes = api.predict(
        files, out=predictions, model=options.model, options=PredictOptions(pages=False)
    )
    for outcome in outcomes:
        if outcome.reason is not None:
            print(f"{outcome.case_id}: {outcome.reason}")
            continue
        found = read_volume(predictions / outcome.case_id / "mask.nii.gz").data > 0
        print(f"{outcome.case_id}: Dice {hard_dice(found, truths[outcome.case_id]):.3f}")


if __name__ == "__main__":
    main()
