"""A forest plot: how much better each arm is than the baseline, split by split and in all."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plgg.compare import Contrast
from plgg.report.canvas import panel
from plgg.report.numbers import signed
from plgg.report.palette import FAINT, INK, arm_colour, arm_title

_ROW = 0.3


def forest_figure(contrasts: Sequence[Contrast], arms: Sequence[str]) -> Figure:
    """A dot for each split, a diamond with its 95 % interval for all of them, by arm.

    Args:
        contrasts: Of the arms with the baseline, on one part.
        arms: All arms, the baseline first; they have the same colours everywhere.
    """
    rows = sum(1 + len(contrast.split_differences) for contrast in contrasts)
    height = 1.1 + _ROW * (rows + len(contrasts))
    baseline = arm_title(contrasts[0].a).lower()
    figure, axes = panel(
        f"Test Dice less that of {baseline}",
        x=f"← {baseline} is better · difference of Dice · the other is better →",
        y="",
        size=(8.4, height),
    )
    axes.axvline(0, color=FAINT, linewidth=1)
    ticks: list[tuple[float, str]] = []
    y = 0.0
    for contrast in contrasts:
        y = _draw(axes, contrast, y, arm_colour(contrast.b, arms), ticks)
    axes.set_yticks([at for at, _ in ticks], [name for _, name in ticks], color=INK, fontsize=9)
    axes.set_ylim(y - 0.4, -0.8)
    axes.margins(x=0.18)
    return figure


def _draw(
    axes: Axes, contrast: Contrast, y: float, colour: str, ticks: list[tuple[float, str]]
) -> float:
    """The rows of one arm; gives where the next one begins."""
    low, high = contrast.interval.low, contrast.interval.high
    if low is not None and high is not None:
        axes.plot((low, high), (y, y), color=colour, linewidth=2.4)
    axes.scatter([contrast.difference], [y], marker="D", s=58, color=colour, zorder=3)
    end = max(contrast.difference, high if high is not None else contrast.difference)
    axes.annotate(
        signed(contrast.difference),
        (end, y),
        xytext=(7, 0),
        textcoords="offset points",
        va="center",
        fontsize=9,
        color=INK,
    )
    ticks.append((y, f"{arm_title(contrast.b)}, all"))
    for found in contrast.split_differences:
        y += 1
        axes.scatter([found.difference], [y], s=30, color=colour, alpha=0.75, linewidth=0)
        ticks.append((y, _split_name(found.name)))
    return y + 1.6


def _split_name(folder: str) -> str:
    """Splits count from 1 for people."""
    number = folder.removeprefix("split-")
    return f"split {int(number) + 1}" if number.isdigit() else folder
