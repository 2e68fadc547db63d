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
# The two lines stand a little apart, so that neither hides the other's spread.
_APART = 0.05
_SYMBOLS = {"loss.marker_weight": "λ, the weight of the marker's loss"}


def setting_name(key: str) -> str:
    """What a setting is called in the paper, else its key."""
    return _SYMBOLS.get(key, key)


def grid_figure(points: Sequence[Point], arm: str, key: str) -> Figure:
    """Means over splits and the other settings as lines, splits as dots, the chosen ringed.

    Whiskers are one standard deviation to either side.
    """
    mine = [point for point in points if point.arm == arm and key in point.values]
    values = levels(mine, key)
    figure, axes = panel(
        f"Search of {key}, {arm_title(arm).lower()}", x=setting_name(key), y="on validation"
    )
    for of, shift, colour, name in (
        (_dice, -_APART, _DICE, "Dice"),
        (_auc, _APART, _AUC, "marker AUC"),
    ):
        by_value = [_known(mine, key, value, of) for value in values]
        _line(axes, by_value, shift, colour=colour, name=name)
    _rings(axes, [(values.index(p.values[key]) - _APART, p.dice) for p in mine if p.chosen])
    axes.set_xticks(range(len(values)), values, color=INK)
    axes.set_xlim(-0.4, len(values) - 0.6)
    legend(axes, loc="best")
    return figure


def _rings(axes: Axes, chosen: Sequence[tuple[float, float | None]]) -> None:
    """A ring around the Dice of each winner."""
    known = [(x, y) for x, y in chosen if y is not None]
    if known:
        axes.scatter(
            [x for x, _ in known],
            [y for _, y in known],
            s=70,
            facecolor="none",
            edgecolor=INK,
            linewidth=1.2,
            label="chosen",
            zorder=4,
        )


def _dice(point: Point) -> float | None:
    return point.dice


def _auc(point: Point) -> float | None:
    return point.auc


def _known(
    points: Sequence[Point], key: str, value: str, of: Callable[[Point], float | None]
) -> list[float]:
    return [y for p in points if p.values[key] == value and (y := of(p)) is not None]


def _line(
    axes: Axes, by_value: Sequence[Sequence[float]], shift: float, *, colour: str, name: str
) -> None:
    known = [(place + shift, found) for place, found in enumerate(by_value) if found]
    if not known:
        return
    for x, found in known:
        axes.scatter([x] * len(found), found, s=16, color=colour, alpha=0.5, linewidth=0)
        if len(found) > 1:
            mean, sd = float(np.mean(found)), float(np.std(found, ddof=1))
            axes.plot((x, x), (mean - sd, mean + sd), color=colour, linewidth=1, alpha=0.6)
    means = [(x, float(np.mean(found))) for x, found in known]
    axes.plot(*zip(*means, strict=True), color=colour, linewidth=2, marker="o", label=name)
