"""Where a probability is cut: fixed thresholds against each scan's own.

    python benchmarks/thresholds.py ensemble/predictions/out-of-fold tcga-lgg/manifest.csv

Nothing is predicted: each `probability.nii.gz` is cut anew. For each rule: Dice, its mean
difference from the first rule with its standard error, the mean volume error, and the factor within
which nine of ten predicted volumes lie of the true ones.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from common import against_first
from plgg.config import EXPECTED_DICE, Threshold
from plgg.data.manifest import read_manifest
from plgg.data.nifti.image import read_volume
from plgg.measure.outline import outlined
from plgg.metrics.overlap import hard_dice, volume_ml

RULES: tuple[Threshold, ...] = (0.5, 0.45, 0.4, 0.35, 0.3, EXPECTED_DICE)
# So that an empty mask has a ratio.
_SMALLEST_ML = 0.01


def scored(probability: Path, mask: Path) -> list[tuple[float, float, float]]:
    """Dice, predicted and true volume in mL by each rule."""
    found, drawn = read_volume(probability), read_volume(mask)
    truth, voxel = drawn.data > 0, drawn.voxel_volume_ml
    masks = [outlined(found.data, rule) for rule in RULES]
    true_ml = volume_ml(truth, voxel_volume_ml=voxel)
    return [(hard_dice(m, truth), volume_ml(m, voxel_volume_ml=voxel), true_ml) for m in masks]


def main() -> None:
    """Print a table of rules."""
    predictions, manifest = map(Path, sys.argv[1:3])
    rows = [
        scored(predictions / case.case_id / "probability.nii.gz", case.mask)
        for case in read_manifest(manifest)
        if case.mask is not None and (predictions / case.case_id).is_dir()
    ]
    dice, predicted, true = np.moveaxis(np.array(rows), -1, 0)
    ratio = np.exp(np.abs(np.log(np.maximum(predicted, _SMALLEST_ML) / true)))
    print(f"{len(rows)} scans\n")
    print(
        "| cut at | Dice, mean | median | less the first | volume error, mL | nine of ten within |"
    )
    print("|---|---|---|---|---|---|")
    for n, (rule, cells) in enumerate(zip(RULES, against_first(dice), strict=True)):
        print(
            f"| {rule} | {cells} | {(predicted - true)[:, n].mean():+.1f} "
            f"| × {np.quantile(ratio[:, n], 0.9):.2f} |"
        )


if __name__ == "__main__":
    main()
