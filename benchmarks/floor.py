"""A floor for any trained model: smoothed z-scores cut at a threshold, the largest part kept.

    python benchmarks/floor.py tcga-lgg/manifest.csv

Nothing is learnt: 1 σ above the brain's mean, after a Gaussian of 1.5 mm in the plane. Prints mean
and median Dice on the native grid.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from scipy import ndimage

from plgg.core.volume import Volume
from plgg.data.manifest import read_manifest
from plgg.data.nifti.image import read_volume
from plgg.metrics.overlap import hard_dice
from plgg.preprocess.brain_extraction import find_brain

SIGMA_MM, ABOVE = 1.5, 1.0


def outline(flair: Volume) -> np.ndarray:
    """The largest bright part of the brain, shape of the scan."""
    brain = find_brain(flair, "auto").brain
    sigma = SIGMA_MM / flair.spacing_mm
    # Not through thick slices.
    sigma[flair.spacing_mm > 3.0] = 0.0
    weight = ndimage.gaussian_filter(brain.astype(np.float32), sigma)
    smooth = ndimage.gaussian_filter(np.where(brain, flair.data, 0).astype(np.float32), sigma)
    values = smooth / np.maximum(weight, 0.1)
    inside = values[brain]
    bright = brain & (values > inside.mean() + ABOVE * inside.std())
    parts, n = ndimage.label(bright)
    if not n:
        return bright
    return np.asarray(parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:])))


def main() -> None:
    """Score every case of a manifest that has a mask."""
    scores = []
    for case in read_manifest(Path(sys.argv[1])):
        if case.mask is None or case.flair is None:
            continue
        truth = read_volume(case.mask).data > 0
        scores.append(hard_dice(outline(read_volume(case.flair)), truth))
    print(f"{len(scores)} scans: Dice mean {np.mean(scores):.3f}, median {np.median(scores):.3f}")


if __name__ == "__main__":
    main()
