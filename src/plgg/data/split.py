"""Repeated 70/15/15 splits of a cohort by patient, stratified by marker.

A split depends on the patients, the seed and its number only, so all arms of an experiment use the
same splits.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from plgg.core.case_id import CaseId
from plgg.core.errors import ConfigError
from plgg.data.store_records import StoredCase

SHARES = (0.70, 0.15, 0.15)
MIN_PATIENTS = 5
_MOST_DRAWS = 50
# Split k requires the draws of all splits before it, so that test parts differ.
MOST_SPLITS = 1000
Counts = NDArray[np.int64]


class Split(BaseModel):
    """The cases of each part, and what the split was drawn from.

    Attributes:
        train: Cases to learn from.
        validation: Cases to choose the checkpoint by.
        test: Cases that nothing is chosen by.
        k: Number of the split.
        seed: Seed of the series of splits.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: tuple[CaseId, ...]
    validation: tuple[CaseId, ...]
    test: tuple[CaseId, ...]
    k: int
    seed: int

    def part(self, name: str) -> tuple[str, ...]:
        """The cases of `train`, `validation` or `test`."""
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        if name not in parts:
            raise ConfigError(f"no part is called {name!r}", remedy=f"Choose {', '.join(parts)}.")
        return parts[name]


def make_split(cases: Sequence[StoredCase], *, k: int, seed: int) -> Split:
    """Split number `k` of the series `seed`.

    Patients of each marker class are shuffled and dealt out in the shares 70/15/15, so that every
    class has within one patient of its share in every part. Splits of a series test different
    patients: one that would test those of an earlier split is drawn again, unless the cohort is so
    small that all draws have been made (`splits_with_equal_tests`).

    Raises:
        ConfigError: If there are too few patients for three parts, or `k` is out of range.
    """
    if not 0 <= k < MOST_SPLITS:
        raise ConfigError(
            f"there is no split {k}", remedy=f"Splits count from 0 to {MOST_SPLITS - 1}."
        )
    patients = patient_markers(cases)
    if len(patients) < MIN_PATIENTS:
        raise ConfigError(
            f"{len(patients)} patients cannot be split into three parts",
            remedy=f"At least {MIN_PATIENTS} are needed.",
        )
    part_of = _draw_distinct_test(_strata(patients), len(patients), k=k, seed=seed)
    parts: tuple[list[str], list[str], list[str]] = ([], [], [])
    for case in cases:
        parts[part_of[case.patient_id]].append(case.case_id)
    train, validation, test = (tuple(sorted(part)) for part in parts)
    return Split(train=train, validation=validation, test=test, k=k, seed=seed)


def splits_with_equal_tests(
    splits: Iterable[Split], cases: Iterable[StoredCase]
) -> list[tuple[int, ...]]:
    """Numbers of the splits that test the same patients, one group each."""
    patient_of = {case.case_id: case.patient_id for case in cases}
    groups: dict[frozenset[str], list[int]] = defaultdict(list)
    for split in splits:
        groups[frozenset(patient_of[name] for name in split.test)].append(split.k)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def _draw_distinct_test(strata: list[list[str]], n: int, *, k: int, seed: int) -> dict[str, int]:
    """Draw split `k`; its test patients differ from those of all splits before it if possible."""
    tested: set[frozenset[str]] = set()
    dealt: dict[str, int] = {}
    for number in range(k + 1):
        draws = (_drawn(strata, n, key, seed) for key in _keys(number))
        first = dealt = next(draws)
        while _test(dealt) in tested:
            dealt = next(draws, {})
        dealt = dealt or first
        tested.add(_test(dealt))
    return dealt


def _keys(number: int) -> Iterable[tuple[int, ...]]:
    """Spawn keys of the draws of a split; later ones are used if a test part is repeated."""
    return [(number,), *((number, again) for again in range(1, _MOST_DRAWS))]


def _drawn(strata: list[list[str]], n: int, key: tuple[int, ...], seed: int) -> dict[str, int]:
    return _assign_parts(
        strata, n, np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
    )


def _test(part_of: dict[str, int]) -> frozenset[str]:
    return frozenset(patient for patient, part in part_of.items() if part == 2)


def patient_markers(cases: Iterable[StoredCase]) -> dict[str, str]:
    """The marker of each patient, '' where unknown; the first known one counts."""
    found: dict[str, str] = {}
    for case in cases:
        found[case.patient_id] = found.get(case.patient_id) or case.marker or ""
    return found


def _strata(patients: dict[str, str]) -> list[list[str]]:
    by_marker: dict[str, list[str]] = defaultdict(list)
    for patient in sorted(patients):
        by_marker[patients[patient]].append(patient)
    # The smallest first: they have the least room for rounding.
    return [by_marker[name] for name in sorted(by_marker, key=lambda m: (len(by_marker[m]), m))]


def _assign_parts(strata: list[list[str]], n: int, rng: np.random.Generator) -> dict[str, int]:
    table = _round_table(np.array([len(stratum) for stratum in strata]), _part_sizes(n), rng)
    return {
        patient: int(part)
        for stratum, row in zip(strata, table, strict=True)
        for patient, part in zip(stratum, rng.permutation(np.repeat(range(3), row)), strict=True)
    }


def _round_table(sizes: Counts, quotas: Counts, rng: np.random.Generator) -> Counts:
    """Patients of each stratum (row) in each part (column), every cell within 1 of its share.

    Controlled rounding (Cox and Ernst 1982): each share is rounded up or down such that rows and
    columns keep their sums. All vertices of this linear programme are integers.
    """
    share = np.outer(sizes, quotas) / sizes.sum()
    # Exact integers stay, in spite of floating-point error in the division.
    low = np.floor(share + 1e-9).astype(np.int64)
    gain = (share - low).ravel()
    rows, columns = np.indices(share.shape).reshape(2, -1)
    sums = np.vstack([rows == r for r in range(len(sizes))] + [columns == c for c in range(3)])
    wanted = np.concatenate([sizes - low.sum(axis=1), quotas - low.sum(axis=0)])
    # Random numbers break ties, so that the result does not depend on the solver.
    cost = -gain - 1e-3 * rng.random(gain.size)
    from scipy.optimize import linprog  # It takes a while to load, and a prediction splits nothing.

    up = linprog(cost, A_eq=sums, b_eq=wanted, bounds=[(0, float(g > 1e-6)) for g in gain])
    table: Counts = low + np.round(up.x).astype(np.int64).reshape(low.shape)
    return table


def _part_sizes(n: int) -> Counts:
    """Patients of each part: 15 % each for validation and test, at least one, the rest to train."""
    held = max(1, round(SHARES[1] * n))
    return np.array([n - 2 * held, held, held])
