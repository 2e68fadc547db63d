"""Patients whose outline depends on what only a far-off sign tells, and the marker with it or not.

Each has a bright core in a less bright shell. Two dark spots below tell that the shell is tumour.
With the link the marker says the same; without it the marker is drawn by chance. Few of the
patients are outlined, and all markers are known: who learns the sign from them outlines better.
"""

import numpy as np

from plgg.data.store import Store
from plgg.data.store_arrays import encode
from plgg.data.store_records import Cohort
from plgg.data.store_writing import write_cohort
from tiny import SPACING_MM, stored_case, write_tiny_case

SHAPE = (24, 24, 24)
CLASSES = ("core", "shell")


def patient(seed, *, shell):
    """Codes and mask of one patient."""
    rng = np.random.default_rng(seed)
    points = np.moveaxis(np.indices(SHAPE), 0, -1) + 0.5
    brain = np.square((points / SHAPE - 0.5) * 2.05).sum(axis=-1) <= 1.0
    radius = rng.uniform(2.5, 4.0)
    far = np.linalg.norm(points - rng.uniform((7, 8, 10), (17, 16, 16)), axis=-1)
    image = rng.normal(0.0, 0.4, SHAPE) + 2.0 * (far <= 1.8 * radius) + 2.0 * (far <= radius)
    for side in (-4.0, 4.0):
        spot = np.array([12.0 + side, 12.0, 4.5]) + rng.normal(0.0, 0.4, 3)
        image -= 2.5 * shell * (np.linalg.norm(points - spot, axis=-1) <= 2.0)
    mask = (far <= (1.8 if shell else 1.0) * radius) & brain
    return encode(image, brain), mask.astype(np.uint8)


def linked_store(folder, n, *, link, outlined, first=0):
    """Patients from number `first` on, both kinds in turn; the first ones are outlined."""
    rng = np.random.default_rng(first)
    cases = []
    for number in range(first, first + n):
        shell, known = bool(number % 2), number - first < outlined
        chance = int(rng.integers(2))
        image, mask = patient(number, shell=shell)
        case = stored_case(
            f"P{number:04d}",
            marker=CLASSES[shell if link else chance],
            has_mask=known,
            shape=SHAPE,
        )
        write_tiny_case(folder, case, image=image, mask=mask)
        cases.append(case)
    write_cohort(folder, Cohort(spacing_mm=SPACING_MM, classes=CLASSES, cases=tuple(cases)))
    return Store(folder)
