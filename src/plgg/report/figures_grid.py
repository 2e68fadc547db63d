"""A searched setting against what validation said of it: Dice and the marker's AUC."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plgg.report.canvas import legend, panel
from plgg.report.grid_records import Point, levels
from plgg.report.palette import INK, arm_title

_DICE, _AUC = "#0072b2", "#d55e00"


def grid_figure(points: tuple[Point, ...], arm: str, key: str) -> Figure:
    """Means over splits and the other settings as lines, splits as dots, the chosen ringed."""
    mine = tuple(point for point in points if point.arm == arm and key in point.values)
    values = levels(mine, key)
    figure, axes = panel(f"{key}, {arm_title(arm).lower()}", x=key, y="validation")
    _line(axes, mine, values, key=key, of=lambda p: p.dice, look=(_DICE, "Dice"))
    _line(axes, mine, values, key=key, of=lambda p: p.auc, look=(_AUC, "marker AUC"))
    chosen = [(values.index(p.values[key]), p.dice) for p in mine if p.chosen and p.dice]
    if chosen:
        x, y = zip(*chosen, strict=True)
        axes.scatter(
            x, y, s=70, facecolor="none", edgecolor=INK, linewidth=1.2, label="chosen", zorder=4
        )
    axes.set_xticks(range(len(values)), values, color=INK)
    axes.set_xlim(-0.4, len(values) - 0.6)
    legend(axes, loc="best")
    return figure


def _line(
    axes: Axes,
    points: Sequence[Point],
    values: Sequence[str],
    *,
    key: str,
    of: Callable[[Point], float | None],
    look: tuple[str, str],
) -> None:
    colour, name = look
    means = []
    for place, value in enumerate(values):
        found = [y for p in points if p.values[key] == value and (y := of(p)) is not None]
        if found:
            axes.scatter([place] * len(found), found, s=16, color=colour, alpha=0.5, linewidth=0)
            means.append((place, float(np.mean(found))))
    if means:
        axes.plot(*zip(*means, strict=True), color=colour, linewidth=2, marker="o", label=name)
