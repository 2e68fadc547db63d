"""Predicted and true volumes: agreement (Bland and Altman 1986), Dice over size."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from plgg.evaluate.experiment_records import Experiment
from plgg.evaluate.records import CaseScores, Interval, Limits
from plgg.report.drawing import FAINT, INK, SHAPES, arm_colour, arm_title, legend, panel
from plgg.report.numbers import number

_SMALLEST_ML = 0.05


def dice_figure(experiment: Experiment) -> Figure:
    """Test Dice against the true volume; one point for each tested scan and split."""
    figure, axes = panel("Dice and size of the tumour", x="true volume (mL)", y="test Dice")
    for arm in experiment.arms:
        found = [
            (case.volume_ml, case.dice)
            for _, case in experiment.tested(arm)
            if case.volume_ml and case.dice is not None
        ]
        _scatter(axes, found, arm, experiment)
    _logarithmic(axes, "x")
    axes.set_ylim(-0.03, 1.03)
    legend(axes, loc="lower right")
    return figure


def agreement_figure(experiment: Experiment) -> Figure:
    """Predicted against true volume, both on logarithmic axes."""
    figure, axes = panel(
        "Volume, predicted and true", x="true volume (mL)", y="predicted volume (mL)"
    )
    everything: list[float] = []
    for arm in experiment.arms:
        found = [_pair(c) for _, c in experiment.tested(arm) if _measured(c)]
        everything += [value for pair in found for value in pair]
        _scatter(axes, found, arm, experiment)
    if everything:
        ends = (min(everything) * 0.8, max(everything) * 1.25)
        axes.plot(ends, ends, color=FAINT, linewidth=1, linestyle=(0, (4, 3)), label="equal")
    _logarithmic(axes, "x")
    _logarithmic(axes, "y")
    legend(axes, loc="upper left")
    return figure


def _measured(case: CaseScores) -> bool:
    return bool(case.volume_ml) and case.predicted_volume_ml is not None


def _pair(case: CaseScores) -> tuple[float, float]:
    """Both volumes; a missed tumour is drawn at the lower edge, as zero has no logarithm."""
    floor = _SMALLEST_ML
    return max(case.volume_ml or 0.0, floor), max(case.predicted_volume_ml or 0.0, floor)


def _scatter(axes: Axes, found: list[tuple[float, float]], arm: str, all_of: Experiment) -> None:
    if not found:
        return
    shape = SHAPES[all_of.arms.index(arm) % len(SHAPES)]
    axes.scatter(
        [x for x, _ in found],
        [y for _, y in found],
        s=26,
        marker=shape,
        color=arm_colour(arm, all_of.arms),
        alpha=0.75,
        linewidth=0,
        label=arm_title(arm),
    )


def _logarithmic(axes: Axes, which: Literal["x", "y"]) -> None:
    """A logarithmic axis with plain numbers on it."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    axis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


BLUE = "#0072b2"

# So that a figure of agreement has room at its right for the values of its lines.
_SIZE = (5.2, 3.7)


def measured(rows: Sequence[CaseScores]) -> list[tuple[float, float]]:
    """True and predicted volume of the scans that have both, in mL."""
    return [
        (row.volume_ml, row.predicted_volume_ml)
        for row in rows
        if row.volume_ml is not None and row.predicted_volume_ml is not None
    ]


def volumes_figure(rows: Sequence[CaseScores]) -> Figure:
    """Predicted against true volume on logarithmic axes, with predicted intervals."""
    figure, axes = panel("Predicted and true volume", x="true volume, mL", y="predicted volume, mL")
    pairs = [(max(a, _SMALLEST_ML), max(b, _SMALLEST_ML)) for a, b in measured(rows)]
    ends = (min(map(min, pairs)) * 0.8, max(map(max, pairs)) * 1.25)
    axes.plot(ends, ends, color=FAINT, linewidth=1, linestyle=(0, (4, 3)), label="equal")
    for row in rows:
        if row.volume_ml is not None and row.volume_low_ml is not None and row.volume_high_ml:
            x = max(row.volume_ml, _SMALLEST_ML)
            low = max(row.volume_low_ml, _SMALLEST_ML)
            axes.plot((x, x), (low, row.volume_high_ml), color=BLUE, linewidth=1, alpha=0.35)
    _points(axes, pairs)
    logarithmic(axes, "x")
    logarithmic(axes, "y")
    legend(axes, loc="upper left")
    return figure


def difference_figure(rows: Sequence[CaseScores], limits: Limits) -> Figure:
    """Difference in mL against the mean of both volumes."""
    figure, axes = panel(
        "Bland–Altman, mL",
        x="mean of predicted and true volume, mL",
        y="predicted − true, mL",
        size=_SIZE,
    )
    points = [((true + found) / 2, found - true) for true, found in measured(rows)]
    _agreement(axes, points, limits, told=lambda value: number(value, 1))
    return figure


def ratio_figure(rows: Sequence[CaseScores], limits: Limits) -> Figure:
    """Ratio against the geometric mean of both volumes, both on logarithmic axes."""
    figure, axes = panel(
        "Bland–Altman, ratio",
        x="geometric mean of predicted and true volume, mL",
        y="predicted ÷ true",
        size=_SIZE,
    )
    points = [
        (math.sqrt(true * found), math.log(found / true))
        for true, found in measured(rows)
        if true > 0 and found > 0
    ]
    _agreement(axes, points, limits, told=lambda value: f"× {number(math.exp(value), 2)}")
    logarithmic(axes, "x")
    reached = max((abs(value) for _, value in points), default=0.0)
    steps = [2.0**n for n in range(-10, 11) if abs(n) <= max(1.0, reached / math.log(2) + 0.5)]
    axes.set_yticks([math.log(step) for step in steps], [f"{step:g}" for step in steps])
    return figure


def _agreement(
    axes: Axes,
    points: Sequence[tuple[float, float]],
    limits: Limits,
    *,
    told: Callable[[float], str],
) -> None:
    axes.axhline(0, color=FAINT, linewidth=0.8)
    for found, style in ((limits.bias, "-"), (limits.lower, "--"), (limits.upper, "--")):
        _line(axes, found, style, told)
    _points(axes, points)


def _points(axes: Axes, points: Sequence[tuple[float, float]]) -> None:
    x, y = [x for x, _ in points], [y for _, y in points]
    axes.scatter(x, y, s=26, color=BLUE, alpha=0.8, linewidth=0, zorder=3)


def _line(axes: Axes, found: Interval, style: str, told: Callable[[float], str]) -> None:
    if found.value is None or found.ci_low is None or found.ci_high is None:
        return
    axes.axhline(found.value, color=INK, linewidth=1.2, linestyle=style)
    axes.axhspan(found.ci_low, found.ci_high, color=BLUE, alpha=0.1, linewidth=0)
    axes.annotate(
        told(found.value),
        (1, found.value),
        xycoords=("axes fraction", "data"),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        color=INK,
        fontsize=9,
        annotation_clip=False,
    )


def logarithmic(axes: Axes, which: Literal["x", "y"]) -> None:
    """A logarithmic axis with plain numbers on it."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    axis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
