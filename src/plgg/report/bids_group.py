"""`group_page`: the scans of a BIDS dataset on one page, with the measurements of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from markupsafe import Markup

from plgg.data.result import RESEARCH_ONLY, Result, Timeline, VolumeInterval
from plgg.report.numbers import count, number
from plgg.report.parts import Tile, status_word
from plgg.report.table import Table
from plgg.report.template import render

_HEADER = (
    "Scan", "Status", "Volume, mL", "Interval, mL", "Diameters, mm", "Marker", "Scan quality",
    "Please note",
)  # fmt: skip
_TIMELINE_HEADER = (
    "Participant", "Sessions", "Days", "Responses", "Best", "Best confirmed", "Please note",
)  # fmt: skip
_TONES = {"done": "good", "failed": "failed", "left out": "plain", "not predicted": "doubtful"}


@dataclass(frozen=True)
class GroupRow:
    """One scan.

    Attributes:
        name: The BIDS entities that identify the scan.
        status: `done`, `failed`, `left out` or `not predicted`.
        result: Its result; None without a prediction.
        reason: Why it has that status; None where there is nothing to explain.
        page: Relative path of the scan's report; None without one.
    """

    name: str
    status: str
    result: Result | None
    reason: str | None
    page: str | None


@dataclass(frozen=True)
class TimelineRow:
    """One participant over time.

    Attributes:
        name: Label of the participant.
        timeline: Sizes and responses over the sessions; None where they cannot be compared.
        reason: Why they cannot be compared; None otherwise.
        page: Relative path of the timeline's page.
    """

    name: str
    timeline: Timeline | None
    reason: str | None
    page: str


def group_page(rows: Sequence[GroupRow], timelines: Sequence[TimelineRow] = ()) -> str:
    """The page as HTML; it opens offline, and links to the pages of scans and of timelines."""
    notes = dict.fromkeys(row.result.note for row in rows if row.result)
    about = [note.removeprefix(RESEARCH_ONLY).strip() for note in notes]
    counts = {status: sum(row.status == status for row in rows) for status in _TONES}
    page = {
        "about": " ".join(filter(None, about)),
        "n": count(len(rows), "row"),
        "tiles": [
            Tile(status.capitalize(), str(n), tone=_TONES[status])
            for status, n in counts.items()
            if n or status == "done"
        ],
        "faults": [
            f"{row.name}: {row.reason}" for row in rows if row.status in ("failed", "not predicted")
        ],
        "table": Table(_HEADER, tuple(map(_cells, rows)), words=frozenset({0, 1, 5, 6, 7})),
        "timelines": Table(
            _TIMELINE_HEADER, tuple(map(_timeline_cells, timelines)), words=frozenset(range(7))
        )
        if timelines
        else None,
        "criteria": next(
            (f"{t.timeline.criteria}. {t.timeline.note}" for t in timelines if t.timeline), ""
        ),
    }
    return render("bids_group.html", page)


def _cells(row: GroupRow) -> tuple[str, ...]:
    result = row.result
    if result is None:
        return (row.name, row.status, "–", "–", "–", "–", "–", row.reason or "")
    within, lines, marker = result.volume_interval, result.diameters, result.marker
    said = "–" if marker is None else "withheld" if marker.withheld else marker.predicted
    return (
        _link(row),
        row.status,
        number(result.volume_ml, 1 if result.volume_ml >= 1 else 2),
        _interval(within) if within else "–",
        f"{number(lines.largest_mm, 0)} × {number(lines.perpendicular_mm, 0)}" if lines else "–",
        said,
        status_word(result.quality.status) if result.quality else "not judged",
        "; ".join(filter(None, (row.reason, *result.warnings))),
    )


def _timeline_cells(row: TimelineRow) -> tuple[str, ...]:
    found = row.timeline
    if found is None:
        return (row.name, "–", "–", "–", "–", "–", row.reason or "")
    days = [str(point.days) for point in found.points if point.days is not None]
    return (
        Markup('<a href="{}">{}</a>').format(quote(row.page), row.name),
        str(len(found.points)),
        ", ".join(days) if len(days) == len(found.points) else "not known",
        ", ".join(point.response for point in found.points),
        found.best_response or "–",
        found.best_confirmed or "–",
        "; ".join(found.warnings),
    )


def _interval(within: VolumeInterval) -> str:
    """The ends in mL, with two decimals if the upper end is below 1 mL."""
    digits = 1 if within.high_ml >= 1 else 2
    return f"{number(within.low_ml, digits)} to {number(within.high_ml, digits)}"


def _link(row: GroupRow) -> str:
    if row.page is None:
        return row.name
    return Markup('<a href="{}">{}</a>').format(quote(row.page), row.name)
