"""How the outlines fare with the size of the tumour."""

from __future__ import annotations

from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from plgg.evaluate import CaseScores
from plgg.report.canvas import legend, panel
from plgg.report.experiment_records import Experiment
from plgg.report.palette import FAINT, SHAPES, arm_colour, arm_title

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
