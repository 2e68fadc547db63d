"""`Evaluation`: cases and summary, written to and read from one folder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plgg.core.case_id import first_duplicate
from plgg.core.errors import RunError
from plgg.core.files import write_json
from plgg.core.records import JsonError, as_record, read_record
from plgg.core.tables import Cell, read_csv, write_csv
from plgg.evaluate.records import VERSION, CaseScores, Summary


@dataclass(frozen=True)
class Evaluation:
    """An evaluation: its rows and its summary."""

    rows: tuple[CaseScores, ...]
    summary: Summary

    def summary_json(self) -> dict[str, Any]:
        """The summary as a record for JSON."""
        return self.summary.model_dump(mode="json")


_PREFIXES = {
    "p_": "probabilities",
    "clinical_": "clinical",
    "network_": "network",
    "radiomics_": "radiomics",
    "metric_": "metrics",
}
_FIELDS = [name for name in CaseScores.model_fields if name not in {*_PREFIXES.values(), "tasks"}]
# Of a task, `TASK:FIELD`, `TASK:p:CLASS` and, for the scores, `TASK:METRIC`.
_TASK_FIELDS = ("truth", "predicted", "value", "low", "high", "level")
# Files of version 1 do not have them.
_SINCE_2 = frozenset(
    (
        "side",
        "region",
        "volume_low_ml",
        "volume_high_ml",
        "volume_interval_level",
        "withheld",
    )
)
_GROUP_HEADER = (
    "group",
    "level",
    "n_patients",
    "n_scans",
    "metric",
    "n",
    "mean",
    "ci_low",
    "ci_high",
    "median",
    "median_ci_low",
    "median_ci_high",
)


_ALTERED = "is no evaluation of this version, or was altered"
_AGAIN = "Run plgg evaluate again."


def write_evaluation(folder: Path, evaluation: Evaluation) -> None:
    """Write all files; the summary last, so that it marks the end."""
    write_csv(folder / "cases.csv", *_cases(evaluation.rows))
    write_csv(folder / "subgroups.csv", _GROUP_HEADER, _lines(evaluation.summary))
    write_json(folder / "summary.json", evaluation.summary_json())


def _cases(rows: Sequence[CaseScores]) -> tuple[list[str], list[list[Cell]]]:
    columns = [
        (prefix, field, name)
        for prefix, field in _PREFIXES.items()
        for name in dict.fromkeys(c for row in rows for c in getattr(row, field))
    ]
    tasks = [_task_cells(row) for row in rows]
    task_columns = list(dict.fromkeys(name for cells in tasks for name in cells))
    header = [*_FIELDS, *(f"{prefix}{name}" for prefix, _, name in columns), *task_columns]
    cells = [
        [getattr(row, name) for name in _FIELDS]
        + [getattr(row, field).get(name) for _, field, name in columns]
        + [found.get(name) for name in task_columns]
        for row, found in zip(rows, tasks, strict=True)
    ]
    return header, cells


def _task_cells(row: CaseScores) -> dict[str, Cell]:
    """Columns of the tasks, without empty ones."""
    cells: dict[str, Cell] = {}
    for name, found in row.tasks.items():
        cells |= {f"{name}:{field}": getattr(found, field) for field in _TASK_FIELDS}
        cells |= {f"{name}:p:{label}": share for label, share in found.probabilities.items()}
        cells |= {f"{name}:{metric}": value for metric, value in found.scores.items()}
    return {name: cell for name, cell in cells.items() if cell is not None}


def _task_scores(cells: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Group the columns of tasks by task."""
    tasks: dict[str, dict[str, Any]] = {}
    for column, text in cells.items():
        name, colon, field = (column or "").partition(":")
        if not (text and colon) or column.startswith(tuple(_PREFIXES)):
            continue
        found = tasks.setdefault(name, {"probabilities": {}, "scores": {}})
        if field in _TASK_FIELDS:
            found[field] = text
        elif field.startswith("p:"):
            found["probabilities"][field.removeprefix("p:")] = text
        else:
            found["scores"][field] = text
    return tasks


def _lines(summary: Summary) -> Iterable[list[Cell]]:
    """A line for each metric of a subgroup; of a small one its count alone."""
    for found in summary.subgroups:
        start: list[Cell] = [found.group, found.level, found.n_patients, found.n_scans]
        if not found.metrics:
            yield [*start, *[None] * (len(_GROUP_HEADER) - len(start))]
        for metric, spread in found.metrics.items():
            yield [*start, metric, *(getattr(spread, name) for name in _GROUP_HEADER[5:])]


def read_evaluation(folder: Path) -> Evaluation:
    """Read an evaluation back; also one of version 1, which has fewer columns.

    Raises:
        RunError: If it is missing or not of a known version.
    """
    absent = [name for name in ("cases.csv", "summary.json") if not (folder / name).is_file()]
    if absent:
        raise RunError(
            f"is not an evaluation (no {' and no '.join(absent)})",
            where=folder,
            remedy="Make one: plgg evaluate.",
        )
    summary = read_record(
        folder / "summary.json",
        Summary,
        error=RunError,
        what=_ALTERED,
        remedy=_AGAIN,
        upgrade=_upgraded,
    )
    table = folder / "cases.csv"
    try:
        rows = _rows(read_csv(table, error=RunError, key=str).rows())
    except (JsonError, RunError) as error:
        fault = error.fault if isinstance(error, JsonError) else error.what
        raise RunError(f"{_ALTERED} ({fault})", where=table, remedy=_AGAIN) from error
    if len(rows) != summary.n_cases:
        fault = f"{len(rows)} rows of {summary.n_cases}"
        raise RunError(f"{_ALTERED} ({fault})", where=table, remedy=_AGAIN)
    return Evaluation(rows, summary)


def _rows(cells: Iterable[dict[str, str]]) -> tuple[CaseScores, ...]:
    """The rows of cases.csv.

    Raises:
        JsonError: If they are no cases, or one is named twice.
    """
    try:
        rows = tuple(_row(row) for row in cells)
    except KeyError as error:
        raise JsonError(f"there is no column {error}") from error
    twin = first_duplicate(row.case_id for row in rows)
    if twin is not None:
        raise JsonError(f"two rows are called {twin!r}")
    return rows


def _upgraded(record: dict[str, Any]) -> dict[str, Any]:
    """A summary of version 1 as one of version 2: the AUC of a class had no interval."""
    if record.get("version") != 1:
        return record
    marker = record["marker"]
    if marker is not None:
        aucs = {name: {"value": value} for name, value in marker["auc_by_class"].items()}
        marker = marker | {"auc_by_class": aucs}
    return record | {"version": VERSION, "marker": marker}


def _row(cells: dict[str, str]) -> CaseScores:
    probabilities: dict[str, dict[str, str]] = {field: {} for field in _PREFIXES.values()}
    for name, value in cells.items():
        for prefix, field in _PREFIXES.items():
            if value and name and name not in _FIELDS and name.startswith(prefix):
                probabilities[field][name.removeprefix(prefix)] = value
    known = {
        name: (cells.get(name, "") if name in _SINCE_2 else cells[name]) or None for name in _FIELDS
    }
    return as_record(known | probabilities | {"tasks": _task_scores(cells)}, CaseScores)
