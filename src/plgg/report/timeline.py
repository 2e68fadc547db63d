"""A patient's timeline: its figure, table and page.

Folders are shown by name only, because a path may contain private information.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plgg.core.errors import OutputError
from plgg.core.files import convert_inspection_errors, write_text
from plgg.data.result import RESEARCH_ONLY, Timeline, TimePoint, VolumeInterval
from plgg.report.drawing import DASHED, as_svg
from plgg.report.numbers import count, interval, number, signed
from plgg.report.parts import BLUE, FAINT, INK, RULE, Picture
from plgg.report.table import Table
from plgg.report.template import render

_HEADER = (
    "Scan", "Date", "Day", "Volume, mL", "Product, mm²", "Since the first, %",
    "Since the smallest, %", "Response", "Borne out?",
)  # fmt: skip
_HEAD_BYTES = 4096
_SIZE = (8.6, 6.0)
_COLOURS = {
    "baseline": INK, "CR": "#009e73", "PR": "#009e73", "MR": "#56b4e9", "SD": FAINT,
    "PD": "#d55e00", "NE": "#999999",
}  # fmt: skip
_WORDS = {
    "CR": "complete response",
    "PR": "partial response",
    "MR": "minor response",
    "SD": "stable disease",
    "PD": "progressive disease",
    "NE": "not evaluable",
    "baseline": "baseline",
}


@dataclass(frozen=True)
class TimelineView:
    """Texts, figure and table of a timeline, for the templates."""

    verdict: str
    picture: Picture
    table: Table
    warnings: tuple[str, ...]
    criteria: str
    plane: str | None
    note: str


def timeline_view(timeline: Timeline, *, this: bool = False) -> TimelineView:
    """A timeline as a sentence, a figure and a table.

    Args:
        timeline: Of one patient.
        this: Whether the page is that of one of the scans, which is then marked as this scan.
    """
    return TimelineView(
        _verdict(timeline),
        as_svg(_figure(timeline.points), _alt(timeline.points), _CAPTION),
        Table(_HEADER, tuple(_cells(timeline.points, this=this)), frozenset({0, 7, 8})),
        timeline.warnings,
        timeline.criteria,
        timeline.plane,
        timeline.note,
    )


def timeline_page(timeline: Timeline, notes: Sequence[str]) -> str:
    """The page as HTML; it opens offline.

    Args:
        timeline: Of one patient.
        notes: Notes of the results for their readers.
    """
    about = dict.fromkeys(note.removeprefix(RESEARCH_ONLY).strip() for note in notes)
    page = {
        "n": count(len(timeline.points), "scan"),
        "about": " ".join(filter(None, about)),
        "view": timeline_view(timeline),
    }
    return render("timeline.html", page)


def write_timeline(path: Path, timeline: Timeline, notes: Sequence[str]) -> None:
    """Write the page, unless the file already has this content.

    Args:
        path: The file; an earlier timeline of plgg is replaced.
        timeline: Of one patient.
        notes: Of the results.

    Raises:
        OutputError: If another file is there, or it cannot be written.
    """
    if not _is_free(path):
        raise OutputError(
            "is there, and is no timeline that plgg made", where=path, remedy="Name another file."
        )
    page = timeline_page(timeline, notes)
    encoded = page.encode("utf-8")
    with convert_inspection_errors(path):
        same_size = path.is_file() and path.stat().st_size == len(encoded)
        is_there = same_size and path.read_bytes() == encoded
    if not is_there:
        write_text(path, page)


def _is_free(path: Path) -> bool:
    with convert_inspection_errors(path):
        if path.is_symlink() or not path.exists():
            return not path.is_symlink()
        if not path.is_file():
            return False
        with path.open("rb") as handle:
            head = handle.read(_HEAD_BYTES)
    return all(mark in head for mark in (b'name="generator" content="plgg ', b"<title>Timeline"))


def _verdict(timeline: Timeline) -> str:
    """A sentence on the last response category and the best one."""
    last = timeline.points[-1]
    text = f"The last scan by its diameters: {_WORDS[last.response]}{_sure(last)}."
    if timeline.best_response:
        text += f" The best of all: {_WORDS[timeline.best_response]}"
        confirmed = timeline.best_confirmed
        if confirmed != timeline.best_response:
            rest = _WORDS[confirmed] if confirmed else "none"
            text += f", unconfirmed; the best that is confirmed: {rest}"
        text += "."
    return f"{text} Whether it is so for the patient is for a physician to say."


def _sure(point: TimePoint) -> str:
    if point.is_confirmed is None:
        return ""
    return ", confirmed" if point.is_confirmed else ", unconfirmed"


def _cells(points: Sequence[TimePoint], *, this: bool) -> Iterable[tuple[str, ...]]:
    for point in points:
        name = f"{point.name} (this scan)" if this and point.prior is None else point.name
        yield (
            name,
            # Hyphens at which a date is not broken.
            point.scan_date.strftime("%Y\u2011%m\u2011%d") if point.scan_date else "not known",
            "–" if point.days is None else str(point.days),
            f"{number(point.volume_ml, 1)}{_interval(point.volume_interval)}",
            number(point.product_mm2, 0),
            signed(point.baseline_percent, 1),
            signed(point.nadir_percent, 1),
            point.response,
            point.statement if point.response == "NE" else point.confirmation,
        )


def _interval(found: VolumeInterval | None) -> str:
    return f" ({interval(found.low_ml, found.high_ml, 1)})" if found else ""


def _alt(points: Sequence[TimePoint]) -> str:
    told = ", ".join(
        f"{point.name}: {number(point.volume_ml, 1)} mL, {point.response}" for point in points
    )
    return f"Volume and product of diameters over time: {told}"


_CAPTION = (
    "Above, the volume with its interval; below, the product of the largest diameters with the "
    "category of each scan. Dashed: 25 and 50 % below the first scan; dotted: 25 % above the "
    "smallest before."
)


def _figure(points: Sequence[TimePoint]) -> Figure:
    """Two panels over one axis of days; of scans, where the dates are not known."""
    figure = Figure(figsize=_SIZE, layout="constrained", facecolor="white")
    above, below = figure.subplots(2, 1, sharex=True)
    days = [point.days for point in points if point.days is not None]
    dated = len(days) == len(points)
    x = [float(day) for day in days] if dated else [float(n) for n in range(len(points))]
    for axes, title, unit in (
        (above, "Tumour volume", "mL"),
        (below, "Product of the largest diameters", "mm²"),
    ):
        _style(axes, title, unit)
    _volumes(above, x, points)
    _products(below, x, points)
    if dated:
        below.set_xlabel("Days since the first scan", color=FAINT, fontsize=9.5)
    else:
        below.set_xticks(x, [point.name for point in points], fontsize=8.5)
    span = max(x) - min(x) or 1.0
    below.set_xlim(min(x) - 0.06 * span, max(x) + 0.06 * span)
    return figure


def _style(axes: Axes, title: str, unit: str) -> None:
    axes.set_title(title, loc="left", color=INK, fontsize=11, fontweight="bold")
    axes.set_ylabel(unit, color=FAINT, fontsize=9.5)
    axes.tick_params(which="both", colors=FAINT, labelsize=9, length=0)
    axes.grid(visible=True, color=RULE, linewidth=0.7)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(RULE)


def _volumes(axes: Axes, x: Sequence[float], points: Sequence[TimePoint]) -> None:
    axes.plot(x, [point.volume_ml for point in points], color=BLUE, linewidth=1.6, marker="o")
    for at, point in zip(x, points, strict=True):
        if point.volume_interval:
            ends = (point.volume_interval.low_ml, point.volume_interval.high_ml)
            axes.plot((at, at), ends, color=BLUE, linewidth=5, alpha=0.25, solid_capstyle="butt")
    axes.set_ylim(bottom=0.0)


def _products(axes: Axes, x: Sequence[float], points: Sequence[TimePoint]) -> None:
    known = [(at, p) for at, p in zip(x, points, strict=True) if p.product_mm2 is not None]
    sizes = [p.product_mm2 or 0.0 for _, p in known]
    axes.plot([at for at, _ in known], sizes, color=INK, linewidth=1.6)
    for at, point in known:
        axes.scatter(
            [at], [point.product_mm2 or 0.0], s=46, color=_COLOURS[point.response], zorder=3
        )
    for at, point in zip(x, points, strict=True):
        label = f"{point.response}?" if point.is_confirmed is False else point.response
        height = point.product_mm2 or 0.0
        axes.annotate(
            label, (at, height), xytext=(0, 9), textcoords="offset points", ha="center",
            color=_COLOURS[point.response], fontsize=10, fontweight="bold",
        )  # fmt: skip
    _thresholds(axes, x, points)
    most = max(sizes, default=0.0)
    axes.set_ylim(0.0, 1.3 * most if most else 1.0)


def _thresholds(axes: Axes, x: Sequence[float], points: Sequence[TimePoint]) -> None:
    first = points[0].product_mm2
    if not first:
        return
    for share in (0.75, 0.5):
        axes.axhline(share * first, color=FAINT, linewidth=0.9, linestyle=DASHED)
    smallest, at, limits = first, [], []
    for here, point in zip(x[1:], points[1:], strict=True):
        at.append(here)
        limits.append(1.25 * smallest)
        if point.product_mm2 is not None:
            smallest = min(smallest, point.product_mm2)
    axes.plot(at, limits, color=_COLOURS["PD"], linewidth=1.1, linestyle=":")
