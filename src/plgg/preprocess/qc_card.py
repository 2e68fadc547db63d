"""The black card that a QC picture is drawn on: title, verdicts as text, legend.

Texts come from data, so characters that the font lacks are replaced.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.lines import Line2D

from plgg.core.files import atomic_write
from plgg.data.quality import Quality, Status, Verdict

WIDTH = 11.0
_DPI = 80
FAINT = "#9aa6b0"
_GROUND, _INK = "#000000", "#f1f4f6"
# Okabe and Ito's colours, lightened for a black background; mark and word repeat the meaning.
_STATUS: dict[Status, tuple[str, str]] = {
    "good": ("#2fd19a", "✔"),
    "doubtful": ("#f5b82e", "▲"),
    "failed": ("#ff6b57", "✘"),
}
_FONT = "DejaVu Sans"  # Comes with matplotlib.
Line = tuple[str, str]
# Letters of this font and size that fill a line of the card, measured.
_COLUMNS = 130
_LONGEST = 60
_MOST_LINES = 9
_LINE = 0.215
_EDGE = 0.22
_TITLE = 0.62
LEGEND = 0.42


@dataclass(frozen=True)
class Key:
    """One entry of the legend."""

    name: str
    colour: str
    dashed: bool = False


def drawable(text: str) -> str:
    """The text as one line; characters without a glyph become a box."""
    known = _glyphs()
    return "".join(c if ord(c) in known else "□" for c in " ".join(text.split()))


@lru_cache(maxsize=1)
def _glyphs() -> frozenset[int]:
    return frozenset(get_font(findfont(FontProperties(family=_FONT))).get_charmap())


def wrapped(texts: Sequence[str]) -> list[Line]:
    """Lines that fit the card, each in the colour of the mark its text begins with."""
    lines = [
        (line, _colour_of(text))
        for text in texts
        for line in textwrap.wrap(
            drawable(text), _COLUMNS, subsequent_indent="    ", placeholder=" …", max_lines=4
        )
    ]
    return lines if len(lines) <= _MOST_LINES else [*lines[: _MOST_LINES - 1], ("…", FAINT)]


def notes(quality: Quality, *, said: str = "") -> list[str]:
    """Texts of the verdicts that are not good, failed ones first, without those in `said`."""
    poor = [v for v in quality.verdicts if v.status != "good" and v.message not in said]
    return [_note(v) for v in sorted(poor, key=lambda v: v.status != "failed")]


def _note(verdict: Verdict) -> str:
    wanted = f" (wanted: {verdict.limits})" if verdict.limits else ""
    return f"{_STATUS[verdict.status][1]} {verdict.gate}: {verdict.message}{wanted}"


def registration_line(quality: Quality) -> str:
    """One line with atlas, accepted registration, number of attempts, stripping and time."""
    taken = next((a for a in quality.attempts if a.accepted), None)
    n = len(quality.attempts)
    parts = [
        f"atlas {quality.atlas}",
        f"{taken.engine}, {taken.model}, start {taken.start}" if taken else "",
        f"{n} {'attempt' if n == 1 else 'attempts'}" if n > 1 or not taken else "",
        f"skull taken off by {quality.stripping}"
        if quality.stripping != "none"
        else "came stripped",
        f"{sum(quality.seconds.values()):.1f} s" if quality.seconds else "",
    ]
    return " · ".join(part for part in parts if part)


class Card:
    """A figure that is filled from the top, in inches.

    Args:
        title: Name of the case.
        status: Shown as a word in its colour.
        lines: Words under the title and their colours.
        body: Height of what will be drawn below, legend included.
    """

    def __init__(self, title: str, status: Status, lines: Sequence[Line], body: float) -> None:
        self.height = _TITLE + _LINE * len(lines) + 0.1 + body
        self.figure = Figure(figsize=(WIDTH, self.height), facecolor=_GROUND)
        colour, mark = _STATUS[status]
        bold: dict[str, Any] = {"fontsize": 15, "weight": "bold"}
        self.write(_EDGE, 0.36, _shortened(drawable(title)), color=_INK, **bold)
        self.write(WIDTH - _EDGE, 0.36, f"{mark} {status}", color=colour, ha="right", **bold)
        for n, (line, tone) in enumerate(lines):
            self.write(_EDGE, _TITLE + _LINE * (n + 0.5), line, color=tone)
        self.top = self.height - body

    def write(self, x: float, y: float, text: str, **how: Any) -> None:  # noqa: ANN401
        """Write a text at `x`, its middle `y` inches under the top; `how` goes to matplotlib."""
        look: dict[str, Any] = {"fontsize": 9.5, "color": FAINT, "family": _FONT, "va": "center"}
        place = (x / WIDTH, 1 - y / self.height)
        self.figure.text(*place, text, parse_math=False, **(look | how))

    def aside(self, y: float, name: str) -> None:
        """Write the name of a row along its left edge, its middle `y` inches under the top."""
        self.write(0.18, y, name, weight="bold", rotation="vertical", ha="center")

    def axes(self, x: float, y: float, width: float, height: float) -> Axes:
        """Empty axes whose upper left corner lies at (x, y) inches from the card's."""
        box = (x / WIDTH, 1 - (y + height) / self.height, width / WIDTH, height / self.height)
        axes = self.figure.add_axes(box)
        axes.axis("off")
        return axes

    def legend(self, keys: Sequence[Key]) -> None:
        """Draw the legend along the bottom."""
        lines = [
            Line2D([], [], color=key.colour, lw=2.2, ls=(0, (3, 1.5)) if key.dashed else "-")
            for key in keys
        ]
        self.figure.legend(
            lines, [key.name for key in keys], loc="lower center", ncols=len(keys), frameon=False,
            labelcolor=_INK, handlelength=2.6, bbox_to_anchor=(0.5, 0.0),
            prop={"family": _FONT, "size": 10},
        )  # fmt: skip

    def save(self, path: Path) -> None:
        """Write the PNG atomically; equal pictures give equal files."""
        picture = io.BytesIO()
        self.figure.savefig(picture, format="png", dpi=_DPI, metadata={"Software": None})
        with atomic_write(path) as aside:
            aside.write_bytes(picture.getvalue())


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def _colour_of(text: str) -> str:
    return next((colour for colour, mark in _STATUS.values() if text.startswith(mark)), FAINT)
