"""Figures in the page's style: colours (Okabe and Ito), axes, and saving as images.

Okabe and Ito, Color Universal Design (2008).
"""

from __future__ import annotations

import base64
import io
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter, Formatter, FuncFormatter
from PIL import Image

from plgg.core.errors import visible

INK = "#26323d"
FAINT = "#66727e"
RULE = "#dfe4e8"
TRUTH = "#19e37d"
PREDICTION = "#ff3df0"

_ARMS = {"single": "#e69f00", "multitask": "#0072b2"}
_OTHER_ARMS = ("#009e73", "#cc79a7", "#d55e00", "#56b4e9")
_CLASSES = ("#009e73", "#cc79a7", "#56b4e9", "#f0e442", "#d55e00", "#999999")
_TITLES = {"single": "Single-task", "multitask": "Multitask"}
SHAPES = ("o", "^", "s", "D", "v", "P")


def arm_colour(arm: str, arms: Sequence[str]) -> str:
    """The colour of an arm, the same in all figures."""
    others = [name for name in arms if name not in _ARMS]
    return _ARMS.get(arm) or _OTHER_ARMS[others.index(arm) % len(_OTHER_ARMS)]


def class_colour(index: int) -> str:
    """The colour of the marker class with this index."""
    return _CLASSES[index % len(_CLASSES)]


def arm_title(arm: str) -> str:
    """What the paper calls an arm."""
    return _TITLES.get(arm, arm)


_DPI = 110
_PANEL = (5.2, 3.5)
# Without a fixed salt and date, equal figures would not be equal files.
_STABLE = {"svg.hashsalt": "plgg"}


@dataclass(frozen=True)
class Picture:
    """An image inside the page.

    Attributes:
        source: A data URI.
        alt: What it shows, for those who cannot see it.
        caption: What to look at.
    """

    source: str
    alt: str
    caption: str = ""


def panel(title: str, *, x: str, y: str, size: tuple[float, float] = _PANEL) -> tuple[Figure, Axes]:
    """A figure of one panel with labels."""
    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    axes = figure.subplots()
    axes.set_title(title, loc="left", color=INK, fontsize=11, fontweight="bold")
    axes.set_xlabel(x, color=FAINT, fontsize=9.5)
    axes.set_ylabel(y, color=FAINT, fontsize=9.5)
    axes.tick_params(which="both", colors=FAINT, labelsize=9, length=0)
    axes.grid(visible=True, color=RULE, linewidth=0.7)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(RULE)
    return figure, axes


def legend(axes: Axes, **where: object) -> None:
    """A legend without a frame, if there is anything to name."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=9, labelcolor=INK, **where)


def as_svg(figure: Figure, alt: str, caption: str = "") -> Picture:
    """A drawing of few points, sharp at any size."""
    text = io.BytesIO()
    with rc_context(_STABLE):
        save(figure, text, format="svg", metadata={"Date": None})
    return Picture(_uri("image/svg+xml", text.getvalue()), alt, caption)


def as_png(figure: Figure, alt: str, caption: str = "", *, colours: int | None = None) -> Picture:
    """A drawing of many points, or a scan.

    Args:
        figure: What to store.
        alt: What it shows.
        caption: What to look at.
        colours: Reduce to a palette of so many; a grey scan with outlines is then half the size.
    """
    raw = io.BytesIO()
    save(figure, raw, format="png", dpi=_DPI, metadata={"Software": None})
    if colours:
        reduced = Image.open(raw).convert("RGB").quantize(colours)
        raw = io.BytesIO()
        reduced.save(raw, format="png", optimize=True)
    return Picture(_uri("image/png", raw.getvalue()), alt, caption)


def _uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


_DOLLAR = re.compile(r"(?<!\\)\$")
# What Matplotlib itself writes at a logarithmic axis is a formula and stays one.
_OWN = "\\mathdefault"


def save(figure: Figure, where: BinaryIO, **options: Any) -> None:  # noqa: ANN401 - Matplotlib's own
    """Write a figure.

    Args:
        figure: Its texts are changed to what is shown.
        where: An open file.
        options: Of `Figure.savefig`.
    """
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            formatter = axis.get_major_formatter()
            if isinstance(formatter, FixedFormatter | FuncFormatter):
                axis.set_major_formatter(FuncFormatter(partial(_lettered, formatter)))
    for text in figure.findobj(Text):
        text.set_text(letters(text.get_text()))
    with warnings.catch_warnings():
        # A letter that the font lacks is drawn as a box.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(where, **options)


def _lettered(formatter: Formatter, value: float, position: int | None) -> str:
    return letters(formatter(value, position))


def letters(text: str) -> str:
    """A text that Matplotlib draws as it is, line by line."""
    if _OWN in text:
        return text
    return "\n".join(_DOLLAR.sub(r"\\$", visible(line)) for line in text.split("\n"))
