"""An evaluation folder as typed records: one for each case, and the summary.

Lenient, since a page about half of the results is better than none: what is absent is None, and
what cannot be read is told by `problem`. Knows nothing of pages.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plgg.io.files import read_json

Record = dict[str, Any]
_PROBABILITY = "p_"


@dataclass(frozen=True)
class CaseScore:
    """One row of `cases.csv`; what is unknown or undefined is None.

    Attributes:
        case_id: The scan.
        patient_id: Whose it is.
        marker: True class.
        site: Where it was made.
        age_years: Age at the scan.
        sex: As the manifest writes it.
        dice: Hard Dice.
        hd95_mm: 95th percentile of the surface distance.
        volume_ml: True volume.
        predicted_volume_ml: Predicted volume.
        predicted_marker: Most probable class.
        probabilities: Probability of each class; empty without a marker head.
    """

    case_id: str
    patient_id: str
    marker: str | None
    site: str | None
    age_years: float | None
    sex: str | None
    dice: float | None
    hd95_mm: float | None
    volume_ml: float | None
    predicted_volume_ml: float | None
    predicted_marker: str | None
    probabilities: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """What one set of predictions was found to be worth.

    Attributes:
        folder: Where it lies.
        cases: Its cases, in the file's order.
        summary: `summary.json` as it stands; empty where there is none.
        problem: What could not be read; None where all could.
    """

    folder: Path
    cases: tuple[CaseScore, ...]
    summary: Record
    problem: str | None = None

    def value(self, *keys: str) -> float | None:
        """A finite number of the summary, by the keys that lead to it; None without one."""
        return finite(dig(self.summary, *keys))


def read_evaluation(folder: Path) -> Evaluation | None:
    """Read an evaluation folder; None where there is none."""
    if not (folder / "cases.csv").is_file():
        return None
    problems = []
    cases: tuple[CaseScore, ...] = ()
    summary: Any = {}
    try:
        cases = _read_cases(folder / "cases.csv")
    except (OSError, ValueError, csv.Error):
        problems.append("cases.csv cannot be read")
    try:
        summary = read_json(folder / "summary.json")
    except (OSError, ValueError):
        problems.append("summary.json cannot be read")
    known = summary if isinstance(summary, dict) else {}
    return Evaluation(folder, cases, known, " and ".join(problems) or None)


def _read_cases(path: Path) -> tuple[CaseScore, ...]:
    with path.open(encoding="utf-8-sig", newline="") as handle:
        rows = list(csv.DictReader(handle))
    return tuple(_case(row) for row in rows if row.get("case_id"))


def _case(row: Mapping[str, str | None]) -> CaseScore:
    found = {
        name.removeprefix(_PROBABILITY): finite(text)
        for name, text in row.items()
        if name and name.startswith(_PROBABILITY)
    }
    case_id = str(row["case_id"])
    return CaseScore(
        case_id=case_id,
        patient_id=row.get("patient_id") or case_id,
        marker=row.get("marker") or None,
        site=row.get("site") or None,
        age_years=finite(row.get("age_years")),
        sex=row.get("sex") or None,
        dice=finite(row.get("dice")),
        hd95_mm=finite(row.get("hd95_mm")),
        volume_ml=finite(row.get("volume_ml")),
        predicted_volume_ml=finite(row.get("predicted_volume_ml")),
        predicted_marker=row.get("predicted_marker") or None,
        probabilities={name: p for name, p in found.items() if p is not None},
    )


def finite(value: object) -> float | None:
    """A finite number, of text too; None for all else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def dig(record: object, *keys: str) -> Any:  # noqa: ANN401 - JSON is any
    """What lies under a path of keys; None where the path ends early."""
    for key in keys:
        if not isinstance(record, dict):
            return None
        record = record.get(key)
    return record
