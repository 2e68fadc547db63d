"""An evaluation's files: cases.csv and summary.json, written and read."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from plgg.errors import RunError
from plgg.evaluate.records import CaseScores, Evaluation, Summary
from plgg.io.files import read_json, write_json, write_text

_FIELDS = [name for name in CaseScores.model_fields if name != "probabilities"]
_CHANCE = "p_"


def write_evaluation(folder: Path, evaluation: Evaluation) -> None:
    """Write both files; the summary last, so that it marks the end."""
    classes = list(dict.fromkeys(c for row in evaluation.rows for c in row.probabilities))
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_FIELDS, *(f"{_CHANCE}{name}" for name in classes)])
    for row in evaluation.rows:
        values = [getattr(row, name) for name in _FIELDS]
        values += [row.probabilities.get(name) for name in classes]
        writer.writerow(["" if value is None else value for value in values])
    write_text(folder / "cases.csv", text.getvalue())
    write_json(folder / "summary.json", evaluation.summary_json())


def read_evaluation(folder: Path) -> Evaluation:
    """Read an evaluation back.

    Raises:
        RunError: If it is missing or not of this version.
    """
    try:
        summary = Summary.model_validate(read_json(folder / "summary.json"))
        text = (folder / "cases.csv").read_text(encoding="utf-8")
        reader = csv.DictReader(io.StringIO(text, newline=""), restval="", strict=True)
        rows = tuple(_row(row) for row in reader)
    except FileNotFoundError as error:
        raise RunError(
            "is not an evaluation (no cases.csv or summary.json)",
            where=folder,
            remedy="Make one: plgg evaluate.",
        ) from error
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise RunError(
            "is no evaluation of this version, or was altered",
            where=folder,
            remedy="Run plgg evaluate again.",
        ) from error
    return Evaluation(rows, summary)


def _row(cells: dict[str, str]) -> CaseScores:
    chances = {
        name.removeprefix(_CHANCE): float(value)
        for name, value in cells.items()
        if name and name.startswith(_CHANCE) and value
    }
    known = {name: cells[name] or None for name in _FIELDS}
    return CaseScores.model_validate(known | {"probabilities": chances})
