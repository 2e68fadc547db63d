"""Paired results to a `Contrast`: differences by patient and split."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from plgg.core.errors import RunError
from plgg.evaluate.compare import statistics
from plgg.evaluate.compare.records import (
    Better,
    Contrast,
    Difference,
    Interval,
    Metric,
    PairedStatistics,
    Unit,
    Unpaired,
)
from plgg.evaluate.compare.results import Score, split_order
from plgg.evaluate.compare.statistics import Array

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


@dataclass(frozen=True)
class Question:
    """What is compared with what.

    Attributes:
        a: Name of the baseline.
        b: Name of what is compared with it.
        part: Part of the split; None where unknown.
        metric: What is compared.
        seed: Seed of the bootstrap.
        test_to_train: n_test / n_train, for the corrected t test.
    """

    a: str
    b: str
    part: str | None
    metric: Metric
    seed: int
    test_to_train: float


def contrast_of_cells(cells: Sequence[Cell], unpaired: Unpaired, question: Question) -> Contrast:
    """Compare by patient and, with several splits, by split.

    Args:
        cells: At least one patient.
        unpaired: What could not be paired.
        question: What is compared with what.
    """
    groups: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        groups[cell.split].append(cell)
    splits = tuple(_averaged(name, groups[name]) for name in sorted(groups, key=split_order))
    patients = _by_patient(cells)
    interval = statistics.hierarchical_interval(
        [_differences(groups[split.name]) for split in splits], _rng(question)
    )
    d = _differences(splits)
    return Contrast(
        a=question.a,
        b=question.b,
        part=question.part,
        metric=question.metric.label,
        better=question.metric.better,
        difference=float(d.mean()),
        interval=interval,
        patients=_over_patients(patients, question),
        splits=_over_splits(splits, question),
        patient_differences=patients,
        split_differences=splits if len(splits) > 1 else (),
        unpaired=unpaired,
        test_to_train=question.test_to_train,
    )


def contrast_of_splits(
    splits: Sequence[Difference], unpaired: Unpaired, question: Question
) -> Contrast:
    """Compare by split where patients are not known, as in a printed table.

    Args:
        splits: At least one split.
        unpaired: What could not be paired.
        question: What is compared with what.
    """
    d = _differences(splits)
    return Contrast(
        a=question.a,
        b=question.b,
        part=question.part,
        metric=question.metric.label,
        better=question.metric.better,
        difference=float(d.mean()),
        interval=statistics.corrected_interval(d, question.test_to_train),
        patients=None,
        splits=_over_splits(splits, question),
        patient_differences=(),
        split_differences=tuple(splits),
        unpaired=unpaired,
        test_to_train=question.test_to_train,
    )


def difference_of(name: str, a: float, b: float, n: int | None) -> Difference:
    """A `Difference`, freed of rounding noise."""
    return Difference(name, a, b, float(statistics.paired_differences(a, b)), n)


def _averaged(name: str, cells: Sequence[Cell]) -> Difference:
    a, b = (float(np.mean([side(cell) for cell in cells])) for side in (_a, _b))
    return difference_of(name, a, b, sum(cell.n for cell in cells))


def _by_patient(cells: Sequence[Cell]) -> tuple[Difference, ...]:
    groups: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        groups[cell.patient_id].append(cell)
    return tuple(_averaged(name, groups[name]) for name in sorted(groups))


def _a(cell: Cell) -> float:
    return cell.a


def _b(cell: Cell) -> float:
    return cell.b


def _differences(values: Sequence[Cell] | Sequence[Difference]) -> Array:
    return statistics.paired_differences([v.a for v in values], [v.b for v in values])


def _rng(question: Question) -> np.random.Generator:
    return np.random.default_rng(question.seed)


def _over_patients(patients: Sequence[Difference], question: Question) -> PairedStatistics:
    return _statistics(
        patients,
        unit="patient",
        better=question.metric.better,
        interval=lambda d: statistics.patient_interval(d, _rng(question)),
        test_to_train=None,
    )


def _over_splits(splits: Sequence[Difference], question: Question) -> PairedStatistics | None:
    if len(splits) < 2:
        return None
    ratio = question.test_to_train
    return _statistics(
        splits,
        unit="split",
        better=question.metric.better,
        interval=lambda d: statistics.corrected_interval(d, ratio),
        test_to_train=ratio,
    )


def _statistics(
    values: Sequence[Difference],
    *,
    unit: Unit,
    better: Better | None,
    interval: Callable[[Array], Interval],
    test_to_train: float | None,
) -> PairedStatistics:
    d = _differences(values)
    above, below = int((d > 0).sum()), int((d < 0).sum())
    improved, worse = {"higher": (above, below), "lower": (below, above), None: (None, None)}[
        better
    ]
    return PairedStatistics(
        unit=unit,
        n=d.size,
        mean_a=float(np.mean([value.a for value in values])),
        mean_b=float(np.mean([value.b for value in values])),
        difference=float(d.mean()),
        sd=float(d.std(ddof=1)) if d.size > 1 else None,
        median=float(np.median(d)),
        interval=interval(d),
        paired_t=statistics.paired_t(d),
        wilcoxon=statistics.wilcoxon(d),
        corrected_t=None if test_to_train is None else statistics.corrected_t(d, test_to_train),
        effect_size=statistics.effect_size(d),
        n_improved=improved,
        n_equal=int((d == 0).sum()),
        n_worse=worse,
        share_improved=None if improved is None else improved / d.size,
        effect_interval=statistics.effect_interval(d, test_to_train or 0.0),
    )
