"""`Evaluation`: cases and summary, written to and read from one folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plgg.core.case_id import first_twin
from plgg.core.errors import RunError
from plgg.core.estimate import Estimate
from plgg.core.files import write_json
from plgg.core.records import JsonError, as_record, read_record
from plgg.core.tables import Cell, read_csv, write_csv
from plgg.evaluate.records import VERSION, CaseScores, Lesions, Markers, Summary, Volumes

Line = tuple[str, str, str, str]


@dataclass(frozen=True)
class Evaluation:
    """An evaluation: its rows and its summary."""

    rows: tuple[CaseScores, ...]
    summary: Summary

    def summary_json(self) -> dict[str, Any]:
        """The summary as a record for JSON."""
        return self.summary.model_dump(mode="json")

    def as_rows(self) -> list[Line]:
        """Metric, value, interval and number of cases, as words for a table."""
        found = self.summary
        rows = []
        for name, s in found.segmentation.items():
            rows.append((name, number(s.mean), reach(s.ci_low, s.ci_high), str(s.n)))
            if name == "dice":
                median = reach(s.median_ci_low, s.median_ci_high)
                rows.append(("dice, median", number(s.median), median, str(s.n)))
        rows += _lesions(found.lesions)
        rows += _volumes(found.volumes) if found.volumes else ()
        rows += _markers(found.marker) if found.marker else ()
        return rows

    def headline(self) -> str:
        """Dice and AUC in one sentence."""
        dice = self.summary.segmentation["dice"]
        said = f"{self.summary.n_patients} patients: mean Dice {number(dice.mean)} "
        said += f"({reach(dice.ci_low, dice.ci_high)})"
        if self.summary.marker:
            auc = self.summary.marker.auc
            said += f", marker AUC {number(auc.value)} ({reach(auc.low, auc.high)})"
        return said


def _lesions(found: Lesions) -> Iterator[Line]:
    sensitivity = reach(found.sensitivity_ci_low, found.sensitivity_ci_high)
    precision = reach(found.precision_ci_low, found.precision_ci_high)
    yield "lesion sensitivity", number(found.sensitivity), sensitivity, str(found.n)
    yield "lesion precision", number(found.precision), precision, str(found.found + found.false)


def _volumes(found: Volumes) -> Iterator[Line]:
    limits = found.difference_ml
    if limits:
        for name, end in (("lower", limits.lower), ("upper", limits.upper)):
            yield _line(f"volume, {name} limit of agreement, mL", end, limits.n)
    if found.coverage:
        level = found.coverage_level
        promised = "" if level is None else f" ({level:.0%} promised)"
        yield _line(f"volume interval holds{promised}", found.coverage, found.n_with_interval)


def _markers(found: Markers) -> Iterator[Line]:
    yield _line("marker AUC", found.auc, found.n)
    yield _line("balanced accuracy", found.balanced_accuracy, found.n)
    yield _line("F1", found.f1, found.n)
    yield _line("Brier", found.brier, found.n)
    if found.reliability:
        yield _line("calibration error", found.reliability.ece, found.n)
    if found.abstention:
        yield _line("marker withheld, share", found.abstention.share, found.abstention.n)
        answered = found.abstention.n - found.abstention.n_withheld
        yield _line("accuracy where not withheld", found.abstention.accuracy, answered)
    if found.clinical:
        yield _line("clinical-only AUC", found.clinical.auc, found.clinical.n)
        yield _line("AUC, network less clinical", found.clinical.difference, found.clinical.n)


def _line(name: str, found: Estimate, n: int) -> Line:
    return name, number(found.value), reach(found.low, found.high), str(n)


def number(value: float | None) -> str:
    """Three decimals, or a dash."""
    return "-" if value is None else f"{value:.3f}"


def reach(low: float | None, high: float | None) -> str:
    """Both ends of an interval, or a dash."""
    return "-" if low is None or high is None else f"{low:.3f} to {high:.3f}"


_CHANCES = {"p_": "probabilities", "clinical_": "clinical"}
_FIELDS = [name for name in CaseScores.model_fields if name not in _CHANCES.values()]
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
        for prefix, field in _CHANCES.items()
        for name in dict.fromkeys(c for row in rows for c in getattr(row, field))
    ]
    header = [*_FIELDS, *(f"{prefix}{name}" for prefix, _, name in columns)]
    cells = [
        [getattr(row, name) for name in _FIELDS]
        + [getattr(row, field).get(name) for _, field, name in columns]
        for row in rows
    ]
    return header, cells


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
    twin = first_twin(row.case_id for row in rows)
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
    chances: dict[str, dict[str, str]] = {field: {} for field in _CHANCES.values()}
    for name, value in cells.items():
        for prefix, field in _CHANCES.items():
            if value and name and name not in _FIELDS and name.startswith(prefix):
                chances[field][name.removeprefix(prefix)] = value
    known = {
        name: (cells.get(name, "") if name in _SINCE_2 else cells[name]) or None for name in _FIELDS
    }
    return as_record(known | chances, CaseScores)
