"""Test Dice by true marker: whether one kind of tumour is outlined worse than another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plgg.report.canvas import legend, panel
from plgg.report.experiment_records import Experiment
from plgg.report.palette import INK, SHAPES, arm_colour, arm_title

_WIDTH = 0.7


def true_markers(experiment: Experiment) -> list[str]:
    """Markers of the tested scans with a known Dice, in alphabetical order."""
    tested = (case for arm in experiment.arms for _, case in experiment.tested(arm))
    return sorted({case.marker for case in tested if case.marker and case.dice is not None})


def groups_figure(experiment: Experiment) -> Figure:
    """A point for each tested scan and split, a bar at their mean, by marker and arm."""
    figure, axes = panel("Dice by true marker", x="", y="test Dice")
    markers = true_markers(experiment)
    step = _WIDTH / len(experiment.arms)
    for index, arm in enumerate(experiment.arms):
        offset = (index - (len(experiment.arms) - 1) / 2) * step
        look = (arm_colour(arm, experiment.arms), SHAPES[index % len(SHAPES)])
        for place, marker in enumerate(markers):
            values = [
                case.dice
                for _, case in experiment.tested(arm)
                if case.marker == marker and case.dice is not None
            ]
            _strip(axes, values, place + offset, step, look)
        axes.scatter([], [], s=26, color=look[0], marker=look[1], lw=0, label=arm_title(arm))
    axes.set_xticks(range(len(markers)), markers, color=INK)
    axes.set_xlim(-0.6, len(markers) - 0.4)
    axes.set_ylim(-0.03, 1.03)
    axes.grid(visible=False, axis="x")
    legend(axes, loc="lower right")
    return figure


def _strip(
    axes: Axes, values: Sequence[float], x: float, step: float, look: tuple[str, str]
) -> None:
    """Points side by side in the order of the values, so that none hides another."""
    if not values:
        return
    ranks = np.argsort(np.argsort(values, kind="stable"))
    order = (ranks - ranks.mean()) / max(len(values) - 1, 1)
    colour, shape = look
    axes.scatter(
        x + order * step * 0.6, values, s=20, color=colour, marker=shape, alpha=0.7, linewidth=0
    )
    mean = float(np.mean(values))
    axes.plot((x - step * 0.36, x + step * 0.36), (mean, mean), color=INK, linewidth=2)
