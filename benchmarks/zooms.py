"""Sizes at which an image is shown: each alone, and averaged, with what they cost.

    OMP_NUM_THREADS=1 python benchmarks/zooms.py runs/ensemble store

Each patient is predicted by the one network of the ensemble that never saw them, at each size with
its mirror image, and cut where the expected Dice of the mask is highest; Dice is taken on the
store's grid. Printed for each choice: Dice, its mean difference from the image as it is with its
standard error, and pixels shown, which is what the network's time goes by. The last row is what
`plgg predict` does: sizes after the first of the slices with a sign of tumour alone.
"""

from __future__ import annotations

import sys
from dataclasses import replace
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
from plgg.predict.engine import Answer
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


TAKEN = (1.0, 1.25)


def predicted(
    member: Member, store: Store, case: str, sizes: tuple[float, ...]
) -> tuple[NDArray[np.float32], int]:
    """Probability of tumour, and voxels shown."""
    voxels = 0

    def run(image: NDArray[np.float32]) -> Answer:
        nonlocal voxels
        voxels += image[0].size
        return member.engine.run(image)

    found = predict_box(
        replace(member.engine, run=run),
        store.channels(case, member.config.channels),
        InferenceConfig(mirror=True, zooms=sizes),
        measure=False,
        offsets=member.offsets(store.placement(case).slice_mm),
    )
    return found.tumour, voxels


def main() -> None:
    """Print a table of choices."""
    folder, store = Path(sys.argv[1]), Store(Path(sys.argv[2]))
    rows, shown = [], []
    for run in member_runs([folder]):
        member = load_member(run, calibrated=False)
        for case in tqdm(read_part(run, "validation"), desc=run.name):
            mask = store.mask(case)
            if mask is None:
                continue
            found = {size: predicted(member, store, case, (size,)) for size in SIZES}
            means = [np.mean([found[size][0] for size in choice], axis=0) for choice in CHOICES]
            taken, voxels = predicted(member, store, case, TAKEN)
            means.append(taken)
            shown.append(voxels / found[1.0][1])
            rows.append([hard_dice(outlined(mean, EXPECTED_DICE), mask > 0) for mean in means])
    dice = np.array(rows)
    better = (dice > dice[:, :1]).sum(axis=0)
    print(f"{len(dice)} scans\n")
    print("| shown at | Dice, mean | median | less the first | better in | pixels |")
    print("|---|---|---|---|---|---|")
    names = [", ".join(map(str, choice)) for choice in CHOICES]
    names.append(f"{', '.join(map(str, TAKEN))}, as predicted")
    pixels = [sum(size**2 for size in choice) for choice in CHOICES] + [float(np.mean(shown))]
    for name, cells, n_better, cost in zip(names, against_first(dice), better, pixels, strict=True):
        print(f"| {name} | {cells} | {n_better} | {cost:.2f} |")


if __name__ == "__main__":
    main()
