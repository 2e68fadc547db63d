"""Reading one metric of an evaluation folder: a value for each case, and whose case it is.

Knows nothing of pairs or statistics.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from plgg.compare.metric import Metric
from plgg.compare.sources import CASES
from plgg.errors import ConfigError, RunError
from plgg.io.json_records import read_record
from plgg.io.read_csv import read_csv
from plgg.io.tables import number
from plgg.io.unknown import known

_NOT_FINITE = ("nan", "inf", "infinity")


@dataclass(frozen=True)
class Score:
    """One case.

    Attributes:
        patient_id: Whose scan it is; the case itself where that is unknown.
        value: The metric; None where it is undefined.
    """

    patient_id: str
    value: float | None


def read_scores(evaluation: Path, metric: Metric) -> Mapping[str, Score]:
    """Read a metric of `cases.csv` by case.

    Raises:
        RunError: If the file cannot be read.
        ConfigError: If it has no such column of numbers.
    """
    path = evaluation / CASES
    rows = _rows(path)
    if not rows:
        raise RunError("holds no cases", where=path, remedy="Evaluate again.")
    if metric.name not in rows[0]:
        raise ConfigError(
            f"has no column {metric.name!r} (it has: {', '.join(rows[0])})",
            where=path,
            remedy="Choose one of these as --metric.",
        )
    return {
        row["case_id"]: Score(row.get("patient_id") or row["case_id"], _value(row, metric, path))
        for row in rows
    }


def read_marker_auc(evaluation: Path) -> float | None:
    """Macro AUC of the marker by `summary.json`; None where none was named or could be scored.

    Raises:
        RunError: If the file is there but cannot be read.
    """
    path = evaluation / "summary.json"
    if not path.exists():
        return None
    summary = read_record(
        path, _Summary, error=RunError, what="cannot be read", remedy="Evaluate again."
    )
    auc = summary.marker.auc if summary.marker else None
    return auc.value if auc else None


class _Auc(BaseModel):
    value: float | None


class _Marker(BaseModel):
    auc: _Auc | None


class _Summary(BaseModel):
    """Of `summary.json`, what is compared."""

    marker: _Marker | None


def _rows(path: Path) -> list[dict[str, str]]:
    rows = read_csv(path, error=RunError, key=str).rows()
    names = [row.get("case_id", "") for row in rows]
    if "" in names or len(set(names)) < len(names):
        raise RunError("a case_id is blank or occurs twice", where=path, remedy="Evaluate again.")
    return rows


def _value(row: Mapping[str, str], metric: Metric, path: Path) -> float | None:
    text = known(row[metric.name])
    if text is None:
        return None
    value = number(text)
    if value is None and text.lower().lstrip("+-") not in _NOT_FINITE:
        raise ConfigError(
            f"{metric.name} of {row['case_id']} is {text!r}, no number",
            where=path,
            remedy="Choose a column of numbers as --metric.",
        )
    if value is None or not math.isfinite(value):
        return None
    if metric.bounds and not metric.bounds[0] <= value <= metric.bounds[1]:
        raise RunError(
            f"{metric.name} of {row['case_id']} is {text}, which it cannot be",
            where=path,
            remedy="Evaluate again.",
        )
    return abs(value) if metric.absolute else value
