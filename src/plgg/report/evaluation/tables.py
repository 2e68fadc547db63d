"""An evaluation's tables as rows of text. Knows nothing of HTML."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from plgg.evaluate import CaseScores, Evaluation, Spread, Summary
from plgg.report.evaluation.measures import between, measures
from plgg.report.numbers import UNDEFINED, number
from plgg.report.tables import Table

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
