"""Pairing two sets of results by split and case, and averaging them up to patients and splits.

Knows nothing of statistics.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from plgg.compare.records import Unpaired
from plgg.compare.results import Score
from plgg.errors import RunError

Results = Mapping[str, Mapping[str, Score]]
"""Scores by split and case."""


@dataclass(frozen=True)
class Cell:
    """A patient in a split: both sides, averaged over the patient's scans there.

    Attributes:
        split: Name of the split.
        patient_id: The patient.
        a: Mean over the scans in a.
        b: Mean over the same scans in b.
        n: Number of scans.
    """

    split: str
    patient_id: str
    a: float
    b: float
    n: int


def pair(a: Results, b: Results) -> tuple[tuple[Cell, ...], Unpaired]:
    """Pair by split and case; what cannot be paired is listed.

    Raises:
        RunError: If a case is one patient's in a and another's in b.
    """
    left, right = _flat(a), _flat(b)
    both = [key for key in left if key in right]
    defined = [key for key in both if None not in (left[key].value, right[key].value)]
    grouped: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for split, case in defined:
        one, two = left[split, case], right[split, case]
        patient = _same_patient(case, one, two)
        if one.value is not None and two.value is not None:
            grouped[split, patient].append((one.value, two.value))
    cells = tuple(
        Cell(split, patient, _mean(x for x, _ in values), _mean(y for _, y in values), len(values))
        for (split, patient), values in grouped.items()
    )
    undefined = set(both) - set(defined)
    return cells, Unpaired(
        _labels(set(left) - set(right)), _labels(set(right) - set(left)), _labels(undefined)
    )


def _flat(results: Results) -> dict[tuple[str, str], Score]:
    return {(s, case): score for s, scores in results.items() for case, score in scores.items()}


def _same_patient(case: str, a: Score, b: Score) -> str:
    # A blank patient is read as the case itself, which then is no contradiction.
    known = [score.patient_id for score in (a, b) if score.patient_id != case] or [case]
    if len(set(known)) > 1:
        raise RunError(
            f"case {case} is patient {known[0]} in one and {known[1]} in the other",
            remedy="Evaluate both against the same manifest.",
        )
    return known[0]


def _labels(keys: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    return tuple(sorted(f"{split}/{case}" if split else case for split, case in keys))


def _mean(values: Iterable[float]) -> float:
    known = list(values)
    return sum(known) / len(known)
