"""The table of response categories, a row for each session of a timeline, and its dictionary."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from plgg.bids.courses import Course
from plgg.bids.table import cell
from plgg.core.files import write_json, write_text
from plgg.core.tables import Cell

_MEANINGS: dict[str, dict[str, Any]] = {
    "participant_id": {"Description": "Participant."},
    "session_id": {"Description": "Session."},
    "scan": {"Description": "Entities of the scan that stands for the session."},
    "days": {
        "Description": "Since the participant's first scan, by acq_time; n/a where it is not said.",
        "Units": "d",
    },
    "volume_ml": {"Description": "Volume of the tumour's mask.", "Units": "mL"},
    "plane": {"Description": "Of the slices in which all products of the participant are."},
    "product_mm2": {"Description": "Product of the two diameters (RAPNO).", "Units": "mm^2"},
    "baseline_percent": {"Description": "Change of the product since the first scan."},
    "nadir_percent": {"Description": "Change of the product since the smallest before."},
    "response": {
        "Description": "Category by the product on FLAIR alone, after RAPNO for paediatric "
        "low-grade glioma (Fangusaro et al., Lancet Oncology 2020).",
        "Levels": {
            "baseline": "The first scan.",
            "CR": "Complete response: no tumour was found.",
            "PR": "Partial response: 50 % or more below the first scan.",
            "MR": "Minor response: 25 % or more, and less than 50 %, below the first scan.",
            "SD": "Stable disease: anything else.",
            "PD": "Progressive disease: 25 % or more above the smallest before.",
            "NE": "Not evaluable.",
        },
    },
    "is_confirmed": {
        "Description": "Whether later scans bear the category out; n/a where that is no question "
        "or dates are not known."
    },
    "statement": {"Description": "What the category rests on."},
}


def write_responses(path: Path, courses: Iterable[Course]) -> None:
    """Write the table, and its data dictionary as JSON beside it.

    Raises:
        OutputError: If it cannot be written.
    """
    lines = ["\t".join(_MEANINGS)]
    for course in courses:
        lines += ["\t".join(cell(row[name]) for name in _MEANINGS) for row in _rows(course)]
    write_text(path, "\n".join(lines) + "\n")
    write_json(path.with_suffix(".json"), _MEANINGS)


def _rows(course: Course) -> Iterator[dict[str, Cell]]:
    if course.timeline is None:
        return
    for point in course.timeline.points:
        yield {
            "participant_id": course.subject,
            "session_id": course.sessions[point.name],
            "scan": point.name,
            "plane": course.timeline.plane,
            **point.model_dump(
                include={
                    "days",
                    "volume_ml",
                    "product_mm2",
                    "baseline_percent",
                    "nadir_percent",
                    "response",
                    "is_confirmed",
                    "statement",
                }
            ),
        }
