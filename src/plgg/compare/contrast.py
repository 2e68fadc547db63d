"""From paired values to a `Contrast`. Knows nothing of files or of how it is shown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from plgg.compare import statistics
from plgg.compare.metric import Metric
from plgg.compare.pairs import Cell
from plgg.compare.records import (
    Better,
    Contrast,
    Difference,
    Interval,
    PairedStatistics,
    Unit,
    Unpaired,
)
from plgg.compare.sources import split_order
from plgg.compare.statistics import Array


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
