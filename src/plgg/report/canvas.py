"""Empty figures in the page's style, and finished ones as images inside the page.

Only `matplotlib.figure.Figure`: no state of pyplot. Knows nothing of what is drawn.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from plgg.report.drawing import save
from plgg.report.palette import FAINT, INK, RULE

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
