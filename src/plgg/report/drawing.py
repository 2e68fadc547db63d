"""Figures in the page's style: axes, forest plots, and saving as images."""

from __future__ import annotations

import base64
import io
import re
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, BinaryIO, Literal

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter, Formatter, FuncFormatter, LogLocator, NullFormatter
from PIL import Image

from plgg.core.errors import visible
from plgg.core.estimate import Estimate
from plgg.report.parts import FAINT, INK, RULE, Picture

SHAPES = ("o", "^", "s", "D", "v", "P")
DASHED = (0, (4, 3))
Style = dict[str, Any]
"""Options of Matplotlib."""
_DPI = 110
_PANEL = (5.2, 3.5)
# Without a fixed salt and date, equal figures would not be equal files.
_STABLE = {"svg.hashsalt": "plgg"}


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
    """Add a legend without a frame, if any series has a label."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=9, labelcolor=INK, **where)


def logarithmic(axes: Axes, which: Literal["x", "y"]) -> None:
    """A logarithmic axis with plain numbers on it."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    axis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def annotate(axes: Axes, text: str, at: tuple[float, float], **style: Any) -> None:  # noqa: ANN401
    """Add a small text; x is a fraction of the axes, y is in data coordinates."""
    options: Style = {"textcoords": "offset points", "color": INK, "fontsize": 9} | style
    axes.annotate(text, at, xycoords=("axes fraction", "data"), **options)


Look = tuple[str, str]
"""Colour and shape of a series."""
_LEVEL, _SERIES, _HEAD = 0.2, 0.14, 1.3


def forest(
    groups: Sequence[tuple[str, str, Mapping[str, Estimate | None]]],
    looks: Mapping[str, Look],
    *,
    title: str,
    x: str,
    width: float,
) -> tuple[Figure, Axes]:
    """A forest plot: groups by trait, in each of them a dot and its interval for every series.

    Args:
        groups: Trait, level and estimates by series; None where there are too few patients.
        looks: Colour and marker of each series.
        title: Of the figure.
        x: What the horizontal axis counts.
        width: Of the figure in inches.
    """
    traits = list(dict.fromkeys(trait for trait, _, _ in groups))
    row = _LEVEL + _SERIES * len(looks)
    height = _HEAD + row * len(groups) + 2 * _LEVEL * len(traits)
    figure, axes = panel(title, x=x, y="", size=(width, height))
    ticks: list[tuple[float, str, str]] = []
    y = 0.0
    for trait in traits:
        ticks.append((y - 0.15, trait, "bold"))
        y += 0.75
        for level, found in ((level, found) for of, level, found in groups if of == trait):
            ticks.append((y, level, "normal"))
            for index, (name, look) in enumerate(looks.items()):
                offset = (index - (len(looks) - 1) / 2) * _SERIES / row
                _whisker(axes, y + offset, found[name], look)
            y += 1.0
        y += 0.25
    axes.set_yticks([at for at, _, _ in ticks], [text for _, text, _ in ticks])
    for label, (_, _, weight) in zip(axes.get_yticklabels(), ticks, strict=True):
        label.set(fontweight=weight, color=INK)
    axes.grid(visible=False, axis="y")
    axes.set_ylim(y - 0.5, -0.6)
    return figure, axes


def _whisker(axes: Axes, y: float, found: Estimate | None, look: Look) -> None:
    colour, shape = look
    if found is None or found.value is None:
        axes.text(0.0, y, "too few to judge", color=FAINT, fontsize=8, va="center")
        return
    if found.ends:
        axes.plot(found.ends, (y, y), color=colour, linewidth=1.8, alpha=0.5)
    axes.scatter([found.value], [y], s=30, marker=shape, color=colour, linewidth=0, zorder=3)


def as_svg(figure: Figure, alt: str, caption: str = "") -> Picture:
    """Encode a figure as SVG, for drawings with few points."""
    text = io.BytesIO()
    with rc_context(_STABLE):
        save(figure, text, format="svg", metadata={"Date": None})
    return Picture(_uri("image/svg+xml", text.getvalue()), alt, caption)


def as_png(figure: Figure, alt: str, caption: str = "", *, colours: int | None = None) -> Picture:
    """Encode a figure as PNG, for scans and drawings with many points.

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
# Matplotlib's own labels of a logarithmic axis are formulas and are not escaped.
_OWN = "\\mathdefault"


def save(figure: Figure, where: BinaryIO, **options: Any) -> None:  # noqa: ANN401 - Matplotlib's own
    """Write a figure.

    Args:
        figure: The figure; its texts are escaped in place.
        where: An open file.
        options: Of `Figure.savefig`.
    """
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            formatter = axis.get_major_formatter()
            if isinstance(formatter, FixedFormatter | FuncFormatter):
                axis.set_major_formatter(FuncFormatter(partial(_with_visible_letters, formatter)))
    for text in figure.findobj(Text):
        text.set_text(letters(text.get_text()))
    with warnings.catch_warnings():
        # A letter that the font lacks is drawn as a box.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(where, **options)


def _with_visible_letters(formatter: Formatter, value: float, position: int | None) -> str:
    return letters(formatter(value, position))


def letters(text: str) -> str:
    """Escape a text, line by line, so that Matplotlib draws it literally."""
    if _OWN in text:
        return text
    return "\n".join(_DOLLAR.sub(r"\\$", visible(line)) for line in text.split("\n"))
