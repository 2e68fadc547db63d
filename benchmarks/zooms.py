"""Sizes at which an image is shown: each alone, and averaged, with what they cost.

    OMP_NUM_THREADS=1 python benchmarks/zooms.py runs/ensemble store

Each patient is predicted by the one network of the ensemble that never saw them, at each size with
its mirror image, and cut where the expected Dice of the mask is highest; Dice is taken on the
store's grid. Printed for each choice: Dice, its mean difference from the image as it is with its
standard error, and pixels shown, which is what the network's time goes by.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from common import against_first
from plgg.config import EXPECTED_DICE, InferenceConfig
from plgg.data.ensemble_folder import member_runs
from plgg.data.run_folder import read_part
from plgg.data.store import Store
from plgg.measure.outline import outlined
from plgg.metrics.overlap import hard_dice
from plgg.predict.member import Member, load_member
from plgg.predict.whole_brain import predict_box

SIZES = (0.85, 1.0, 1.15, 1.25, 1.5)
CHOICES = (
    (1.0,),
    (0.85,),
    (1.15,),
    (1.25,),
    (1.5,),
    (0.85, 1.0, 1.15),
    (1.0, 1.15),
    (1.0, 1.25),
    (1.0, 1.5),
    (1.0, 1.15, 1.25),
)


def seen(member: Member, store: Store, case: str) -> dict[float, NDArray[np.float32]]:
    """Probability of tumour at each size."""
    return {
        size: predict_box(
            member.engine,
            store.channels(case, member.config.channels),
            InferenceConfig(mirror=True, zooms=(size,)),
            offsets=member.offsets(store.placement(case).slice_mm),
        ).tumour
        for size in SIZES
    }


def main() -> None:
    """Print a table of choices."""
    folder, store = Path(sys.argv[1]), Store(Path(sys.argv[2]))
    rows = []
    for run in member_runs([folder]):
        member = load_member(run, calibrated=False)
        for case in tqdm(read_part(run, "validation"), desc=run.name):
            mask = store.mask(case)
            if mask is None:
                continue
            found = seen(member, store, case)
            means = [np.mean([found[size] for size in choice], axis=0) for choice in CHOICES]
            rows.append([hard_dice(outlined(mean, EXPECTED_DICE), mask > 0) for mean in means])
    dice = np.array(rows)
    better = (dice > dice[:, :1]).sum(axis=0)
    print(f"{len(dice)} scans\n")
    print("| shown at | Dice, mean | median | less the first | better in | pixels |")
    print("|---|---|---|---|---|---|")
    for choice, cells, n_better in zip(CHOICES, against_first(dice), better, strict=True):
        sizes = ", ".join(map(str, choice))
        print(f"| {sizes} | {cells} | {n_better} | {sum(size**2 for size in choice):.2f} |")


if __name__ == "__main__":
    main()
