"""How well sequences of a patient are registered to each other: the table of docs/channels.md.

    python benchmarks/channels.py --data DIR

DIR holds `open-ms-patient01` (raw heads, with their owners' transforms), `upenn-gbm-00001` (four
sequences on one grid, of which three are moved here by a known matrix) and `child-t1`; what is not
there is left out, and phantoms need nothing. Distances are means over the brain.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from plgg.core.volume import Affine, Volume, apply_affine, inverse
from plgg.data.nifti.image import read_volume
from plgg.phantom.patient import make_scan, movement
from plgg.phantom.settings import phantom_settings
from plgg.preprocess.brain_extraction import find_brain
from plgg.preprocess.coregistration import (
    coregister,
    other_frame,
    reference_frame,
    shared_information,
)

N_PHANTOMS = 8
MOVED_MM = 11.0
# Degrees by which each of the sequences is turned.
TURNED = {"t1n": 5.0, "t1c": 4.0, "t2w": 6.0}
SHIFTED_MM = 5.0


class Row(NamedTuple):
    """One pair.

    Attributes:
        pair: What was registered to what.
        before_mm: From the true place, as it lay.
        left_mm: From the true place, once registered.
        information: Shared with the reference, 1 to 2.
        shifted: The same, where it is left 5 mm from the true place.
        status: Of the gate.
    """

    pair: str
    before_mm: float | None
    left_mm: float | None
    information: float
    shifted: float | None
    status: str


def measured(
    pair: str, flair: Volume, brain: np.ndarray, other: Volume, true: Affine | None
) -> Row:
    """Register a pair whose true matrix, from the other's world to the FLAIR's, may be known."""
    found = coregister(flair, brain, other, title=pair)
    fixed, moving = reference_frame(flair, brain), other_frame(other)
    information = shared_information(fixed, moving, inverse(found.reference_from_other))
    if true is None:
        return Row(pair, None, None, information, None, found.verdict.status)
    points = apply_affine(flair.affine, np.argwhere(brain)[::97])
    # Where a point of the FLAIR's world lies in the other's, and where it is said to lie.
    there = apply_affine(inverse(true), points)
    before, left = (
        float(np.linalg.norm(apply_affine(matrix, points) - there, axis=1).mean())
        for matrix in (np.eye(4), inverse(found.reference_from_other))
    )
    shift = np.eye(4)
    shift[:3, 3] = SHIFTED_MM / np.sqrt(3.0)
    shifted = shared_information(fixed, moving, shift @ inverse(true))
    return Row(pair, before, left, information, shifted, found.verdict.status)


def phantoms() -> Iterator[Row]:
    """T2 to FLAIR of phantoms, which moved between the two."""
    settings = phantom_settings(n_patients=N_PHANTOMS, spacing_mm=2.0, sequences=("flair", "t2"))
    for patient in range(N_PHANTOMS):
        flair, _ = make_scan(settings, patient, "other", scan=0)
        t2, _ = make_scan(settings, patient, "other", scan=0, sequence="t2")
        true = movement(settings, patient, scan=0, sequence="t2")
        yield measured(f"phantom {patient + 1}, T2 to FLAIR", flair, flair.data > 0, t2, true)


def raw_heads(folder: Path) -> Iterator[Row]:
    """Raw heads, against the transforms of their owners, which scale as well."""
    flair = read_volume(folder / "FLAIR.nii.gz")
    brain = find_brain(flair).brain
    for name in ("T2W", "T1W"):
        true = inverse(read_itk(folder / f"{name}_to_FLAIR.txt"))
        scan = read_volume(folder / f"{name}.nii.gz")
        yield measured(f"{folder.name}, {name} to FLAIR", flair, brain, scan, true)


def read_itk(path: Path) -> Affine:
    """The 4×4 matrix of an ITK text file, in RAS, from points of the fixed image to the moving."""
    lines = path.read_text(encoding="utf-8").splitlines()
    numbers, centre = (np.array(lines[n].split(":")[1].split(), dtype=float) for n in (3, 4))
    matrix = np.eye(4)
    matrix[:3, :3] = numbers[:9].reshape(3, 3)
    matrix[:3, 3] = centre + numbers[9:] - matrix[:3, :3] @ centre
    lps = np.diag([-1.0, -1.0, 1.0, 1.0])
    return lps @ matrix @ lps


def moved_heads(folder: Path) -> Iterator[Row]:
    """Sequences that lie on one grid, turned and moved by a known matrix."""
    flair = read_volume(folder / "t2f.nii.gz")
    brain = flair.data > 0
    middle = apply_affine(flair.affine, np.argwhere(brain)[::97]).mean(axis=0)
    random = np.random.default_rng(0)
    for name, degrees in TURNED.items():
        axis, way = (v / np.linalg.norm(v) for v in random.normal(size=(2, 3)))
        matrix = np.eye(4)
        matrix[:3, :3] = Rotation.from_rotvec(np.radians(degrees) * axis).as_matrix()
        matrix[:3, 3] = middle + MOVED_MM * way - matrix[:3, :3] @ middle
        scan = read_volume(folder / f"{name}.nii.gz")
        moved = Volume(scan.data, matrix @ scan.affine)
        yield measured(f"{folder.name}, {name} to t2f", flair, brain, moved, inverse(matrix))


def another_head(data: Path) -> Iterator[Row]:
    """A child's T1 to the FLAIR of an adult."""
    flair = read_volume(data / "upenn-gbm-00001" / "t2f.nii.gz")
    for path in sorted((data / "child-t1").glob("*.nii.gz")):
        name = "a child's T1 to the FLAIR of that adult"
        yield measured(name, flair, flair.data > 0, read_volume(path), None)


def rows(data: Path) -> Iterator[Row]:
    """All pairs that are there."""
    yield from phantoms()
    if (data / "open-ms-patient01").is_dir():
        yield from raw_heads(data / "open-ms-patient01")
    if (data / "upenn-gbm-00001").is_dir():
        yield from moved_heads(data / "upenn-gbm-00001")
        yield from another_head(data)


def main() -> None:
    """Print a table, row after row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("none"), help="folder of real sequences")
    print("| pair | before, mm | left, mm | shared | shared at 5 mm | gate |")
    print("|---|---|---|---|---|---|")
    for row in rows(parser.parse_args().data):
        far = ["–" if n is None else f"{n:.2f}" for n in (row.before_mm, row.left_mm)]
        shifted = "–" if row.shifted is None else f"{row.shifted:.3f}"
        cells = (row.pair, *far, f"{row.information:.3f}", shifted, row.status)
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
