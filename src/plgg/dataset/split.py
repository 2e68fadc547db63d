"""Splitting a cohort 70/15/15 by patient, stratified by marker, as often as asked.

The split depends on the patients, the seed and its number only, so both arms of an experiment get
the same. Knows nothing of images.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

from plgg.errors import ConfigError
from plgg.io.store import StoredCase

SHARES = (0.70, 0.15, 0.15)
MIN_PATIENTS = 5


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

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
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

    Patients of each marker class are shuffled and dealt out in the shares 70/15/15; what rounding
    leaves over goes where most is owed, so that parts and classes both come out even.

    Raises:
        ConfigError: If there are too few patients for three parts.
    """
    patients = _markers(cases)
    if len(patients) < MIN_PATIENTS:
        raise ConfigError(
            f"{len(patients)} patients cannot be split into three parts",
            remedy=f"At least {MIN_PATIENTS} are needed.",
        )
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(k,)))
    part_of = _dealt(_strata(patients), len(patients), rng)
    parts: tuple[list[str], list[str], list[str]] = ([], [], [])
    for case in cases:
        parts[part_of[case.patient_id]].append(case.case_id)
    train, validation, test = (tuple(sorted(part)) for part in parts)
    return Split(train=train, validation=validation, test=test, k=k, seed=seed)


def _markers(cases: Iterable[StoredCase]) -> dict[str, str]:
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


def _dealt(strata: list[list[str]], n: int, rng: np.random.Generator) -> dict[str, int]:
    quotas = _rounded(n)
    dealt: dict[str, int] = {}
    given = np.zeros(3)
    seen = 0
    for stratum in strata:
        order = rng.permutation(len(stratum))
        seen += len(stratum)
        for index in order:
            # What each part is owed: within this class first, then over all classes so far.
            mine = [sum(dealt.get(p) == part for p in stratum) for part in range(3)]
            owed = np.array(SHARES) * len(stratum) - mine
            behind = quotas * seen / n - given
            part = int(np.argmax(owed + 0.5 * behind + np.where(given >= quotas, -np.inf, 0.0)))
            dealt[stratum[index]] = part
            given[part] += 1
    return dealt


def _rounded(n: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Patients of each part: 15 % each for validation and test, at least one, the rest to train."""
    held = max(1, round(SHARES[1] * n))
    return np.array([n - 2 * held, held, held])
