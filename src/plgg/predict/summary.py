"""OUT/summary.csv: one row for each scan, also for those that failed.

It holds the values of a `Result` that fit into a table; each case's result.json holds all of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from plgg.core.tables import Cell, write_csv
from plgg.data.result import Result

Row = dict[str, Cell]
COLUMNS = (
    "case_id",
    "patient_id",
    "status",
    "reason",
    "volume_ml",
    "volume_low_ml",
    "volume_high_ml",
    "volume_interval_level",
    "n_components",
    "plane",
    "largest_mm",
    "perpendicular_mm",
    "depth_mm",
    "product_mm2",
    "marker",
    "withheld",
    "expected_dice",
    "agreement",
    "familiarity",
    "quality",
    "change_ml",
    "change_percent",
    "warnings",
)


class Outcome(Protocol):
    """Outcome of a scan, as in `plgg.predict.scan`."""

    @property
    def case_id(self) -> str:
        """Name of the case."""

    @property
    def result(self) -> Result | None:
        """Its result; None if it failed."""

    @property
    def reason(self) -> str | None:
        """Why it failed."""


def summary_row(result: Result) -> Row:
    """The row of a scan: `COLUMNS`, then `p_CLASS` for each class, further tasks, and labels.

    `marker` is empty where it was withheld; the probabilities are written in any case.
    """
    return {"case_id": result.case_id, "patient_id": result.patient_id, "status": "done"} | {
        "reason": None,
        **_size(result),
        **_marker(result),
        "expected_dice": result.uncertainty.expected_dice,
        "agreement": result.uncertainty.agreement,
        "familiarity": result.familiarity.status if result.familiarity else None,
        "quality": result.quality.status if result.quality else None,
        "change_ml": result.change.difference_ml if result.change else None,
        "change_percent": result.change.percent if result.change else None,
        "warnings": "; ".join(result.warnings),
        **_chances(result),
        **_tasks(result),
        **{f"{one.name}:value": one.volume_ml for one in result.labels[1:]},
    }


def _size(result: Result) -> Row:
    interval, lines = result.volume_interval, result.diameters
    return {
        "volume_ml": result.volume_ml,
        "volume_low_ml": interval.low_ml if interval else None,
        "volume_high_ml": interval.high_ml if interval else None,
        "volume_interval_level": interval.level if interval else None,
        "n_components": len(result.components),
        "plane": lines.plane if lines else None,
        "largest_mm": lines.largest_mm if lines else None,
        "perpendicular_mm": lines.perpendicular_mm if lines else None,
        "depth_mm": lines.depth_mm if lines else None,
        "product_mm2": lines.product_mm2 if lines else None,
    }


def _marker(result: Result) -> Row:
    marker = result.marker
    if marker is None:
        return {"marker": None, "withheld": None}
    return {"marker": None if marker.withheld else marker.predicted, "withheld": marker.withheld}


def _chances(result: Result) -> Row:
    marker = result.marker
    return {f"p_{name}": marker.probabilities[name] for name in marker.classes} if marker else {}


def _tasks(result: Result) -> Row:
    """`TASK:predicted` or `TASK:value` with its interval, and `TASK:p:CLASS`, as in cases.csv."""
    row: Row = {}
    for name, task in result.tasks.items():
        fields = ("predicted", "value", "low", "high")
        found: Row = {f"{name}:{field}": getattr(task, field) for field in fields}
        row |= {column: cell for column, cell in found.items() if cell is not None}
        row |= {f"{name}:p:{label}": share for label, share in task.probabilities.items()}
    return row


def failed_row(case_id: str, reason: str | None) -> Row:
    """The row of a scan that failed."""
    return {"case_id": case_id, "status": "failed", "reason": reason or "not known"}


def write_summary(path: Path, outcomes: Iterable[Outcome]) -> None:
    """Write the rows of all scans, in their order; cells of what is not known are empty.

    Raises:
        OutputError: If it cannot be written.
    """
    rows = [
        summary_row(outcome.result)
        if outcome.result
        else failed_row(outcome.case_id, outcome.reason)
        for outcome in outcomes
    ]
    columns = list(dict.fromkeys((*COLUMNS, *(name for row in rows for name in row))))
    write_csv(path, columns, ([_cell(row.get(name)) for name in columns] for row in rows))


def _cell(value: Cell) -> Cell:
    return str(value).lower() if isinstance(value, bool) else value
