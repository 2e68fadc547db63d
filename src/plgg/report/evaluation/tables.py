"""An evaluation's numbers with their intervals, as tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from plgg.evaluate.evaluation import Evaluation
from plgg.evaluate.records import (
    CaseScores,
    Interval,
    Lesions,
    Limits,
    Markers,
    Spread,
    Summary,
    Volumes,
)
from plgg.report.experiment.tables import Table
from plgg.report.numbers import UNDEFINED, number

Ends = tuple[float | None, float | None]


@dataclass(frozen=True)
class Measure:
    """A row: what was measured, its value, its 95 % interval and of how many."""

    label: str
    value: str
    interval: str
    n: str

    @property
    def told(self) -> str:
        """Value and interval in one cell."""
        return self.value if self.interval == UNDEFINED else f"{self.value} ({self.interval})"


# Label, whether the median is told as well, digits.
_SEGMENTATION = {
    "dice": ("Dice", True, 3),
    "soft_dice": ("Soft Dice", False, 3),
    "surface_dice": ("Surface Dice at 2 mm", False, 3),
    "hd95_mm": ("HD95, mm", True, 1),
    "volume_error_ml": ("Volume error, mL", True, 1),
}


def measures(summary: Summary) -> tuple[Measure, ...]:
    """All numbers that are defined."""
    rows = [
        *_segmentation(summary.segmentation),
        *_lesions(summary.lesions),
        *(_volumes(summary.volumes) if summary.volumes else ()),
        *(_markers(summary.marker) if summary.marker else ()),
    ]
    return tuple(row for row in rows if row.value != UNDEFINED)


def _segmentation(found: dict[str, Spread]) -> Iterator[Measure]:
    for name, (label, with_median, digits) in _SEGMENTATION.items():
        if name not in found:
            continue
        s = found[name]
        yield _measure(f"{label}, mean", s.mean, (s.ci_low, s.ci_high), s.n, digits)
        if with_median:
            ends = (s.median_ci_low, s.median_ci_high)
            yield _measure(f"{label}, median", s.median, ends, s.n, digits)


def _lesions(found: Lesions) -> Iterator[Measure]:
    yield _measure(
        "Lesions found, share",
        found.sensitivity,
        (found.sensitivity_ci_low, found.sensitivity_ci_high),
        found.n,
    )
    yield _measure(
        "Outlined parts that are lesions, share",
        found.precision,
        (found.precision_ci_low, found.precision_ci_high),
        found.found + found.false,
    )


def _volumes(found: Volumes) -> Iterator[Measure]:
    if found.difference_ml:
        yield from _limits("Volume error", ", mL", found.difference_ml, 1)
    if found.log_ratio:
        yield from _ratio(found.log_ratio)
    if found.coverage:
        level = found.coverage_level
        promised = "" if level is None else f" ({level:.0%} promised)"
        label = f"True volumes inside their interval, share{promised}"
        yield _of(label, found.coverage, found.n_with_interval)


def _limits(name: str, unit: str, found: Limits, digits: int) -> Iterator[Measure]:
    yield _of(f"{name}: lower limit of agreement{unit}", found.lower, found.n, digits)
    yield _of(f"{name}: upper limit of agreement{unit}", found.upper, found.n, digits)
    if found.slope:
        yield _of(f"{name}: slope on the size, mL a mL", found.slope, found.n, 2)


def _ratio(found: Limits) -> Iterator[Measure]:
    """Logarithms are told as the ratios they stand for."""
    name = "Volume ratio, predicted ÷ true"
    yield _of(f"{name}: mean", _exponential(found.bias), found.n, 2)
    yield _of(f"{name}: lower limit of agreement", _exponential(found.lower), found.n, 2)
    yield _of(f"{name}: upper limit of agreement", _exponential(found.upper), found.n, 2)


def _exponential(found: Interval) -> Interval:
    value, low, high = (
        None if number is None else math.exp(number)
        for number in (found.value, found.ci_low, found.ci_high)
    )
    return Interval(value=value, ci_low=low, ci_high=high)


def _markers(found: Markers) -> Iterator[Measure]:
    yield _of("Marker AUC (macro)", found.auc, found.n)
    for name, auc in found.auc_by_class.items():
        yield _of(f"Marker AUC, {name} against the rest", auc, found.n)
    yield _of("Marker balanced accuracy", found.balanced_accuracy, found.n)
    yield _of("Marker F1 (macro)", found.f1, found.n)
    yield _of("Marker Brier score", found.brier, found.n)
    if found.accuracy:
        yield _of("Marker named rightly, share", found.accuracy, found.n)
    if found.reliability:
        yield _of("Marker calibration error (ECE)", found.reliability.ece, found.n)
    if found.abstention:
        n, withheld = found.abstention.n, found.abstention.n_withheld
        yield _of("Marker withheld, share", found.abstention.share, n)
        yield _of("Named rightly where not withheld", found.abstention.accuracy, n - withheld)
        if withheld:
            label = "Would have been named rightly where withheld"
            yield _of(label, found.abstention.accuracy_withheld, withheld)
    if found.clinical:
        n = found.clinical.n
        yield _of("Clinical data alone: AUC (macro)", found.clinical.auc, n)
        yield _of("Network less clinical data: AUC", found.clinical.difference, n)


def _of(label: str, found: Interval, n: int, digits: int = 3) -> Measure:
    return _measure(label, found.value, (found.ci_low, found.ci_high), n, digits)


def _measure(label: str, value: float | None, ends: Ends, n: int, digits: int = 3) -> Measure:
    return Measure(label, number(value, digits), between(*ends, digits), str(n))


def between(low: float | None, high: float | None, digits: int = 3) -> str:
    """Both ends of an interval; a dash where one is unknown."""
    if low is None or high is None:
        return UNDEFINED
    return f"{number(low, digits)} to {number(high, digits)}"


_GROUP_METRICS = {
    "dice": ("Dice", 3),
    "hd95_mm": ("HD95, mm", 1),
    "volume_error_ml": ("Volume error, mL", 1),
    "marker_named_rightly": ("Marker named rightly", 2),
}


def measure_table(summary: Summary) -> Table:
    """Every number with its interval."""
    rows = tuple((m.label, m.value, m.interval, m.n) for m in measures(summary))
    return Table(("Measure", "Value", "95 % interval", "n"), rows)


def group_table(summary: Summary) -> Table | None:
    """Means of each subgroup with their intervals; None without subgroups."""
    names = [m for m in _GROUP_METRICS if any(m in g.metrics for g in summary.subgroups)]
    rows = tuple(
        (
            found.group,
            found.level,
            str(found.n_patients),
            *(_mean(found.metrics.get(m), _GROUP_METRICS[m][1]) for m in names),
        )
        for found in summary.subgroups
    )
    header = ("Group", "Level", "Patients", *(_GROUP_METRICS[m][0] for m in names))
    return Table(header, rows, words=frozenset({0, 1})) if rows else None


def _mean(found: Spread | None, digits: int) -> str:
    if found is None:
        return UNDEFINED
    told = between(found.ci_low, found.ci_high, digits)
    mean = number(found.mean, digits)
    return mean if told == UNDEFINED else f"{mean} ({told})"


@dataclass(frozen=True)
class _Column:
    header: str
    cell: Callable[[CaseScores], str]
    is_words: bool = False


_COLUMNS = (
    _Column("Scan", lambda c: c.case_id, is_words=True),
    _Column("Site", lambda c: c.site or "", is_words=True),
    _Column("Age", lambda c: _blank(c.age_years, 1)),
    _Column("Sex", lambda c: c.sex or "", is_words=True),
    _Column("Place", lambda c: " ".join(filter(None, (c.side, c.region))), is_words=True),
    _Column("True mL", lambda c: _blank(c.volume_ml, 1)),
    _Column("Found mL", lambda c: _blank(c.predicted_volume_ml, 1)),
    _Column("Interval, mL", lambda c: _range(c.volume_low_ml, c.volume_high_ml)),
    _Column("Dice", lambda c: _blank(c.dice)),
    _Column("HD95, mm", lambda c: _blank(c.hd95_mm, 1)),
    _Column("Marker", lambda c: c.marker or "", is_words=True),
    _Column("Named", lambda c: c.predicted_marker or "", is_words=True),
    _Column("p", lambda c: _blank(max(c.probabilities.values(), default=None), 2)),
    _Column("Withheld", lambda c: "yes" if c.withheld else "", is_words=True),
)


def scan_table(found: Evaluation) -> Table:
    """Every scan, in the columns that say something."""
    shown = [column for column in _COLUMNS if any(column.cell(row) for row in found.rows)]
    words = frozenset(n for n, column in enumerate(shown) if column.is_words)
    rows = tuple(tuple(column.cell(row) for column in shown) for row in found.rows)
    return Table(tuple(column.header for column in shown), rows, words)


def _blank(value: float | None, digits: int = 3) -> str:
    return "" if value is None else number(value, digits)


def _range(low: float | None, high: float | None) -> str:
    return "" if low is None else between(low, high, 1)
