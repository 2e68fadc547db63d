"""Test Dice by true class and by subgroup, with intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plgg.evaluate.experiment_records import Experiment
from plgg.evaluate.records import Interval
from plgg.report.drawing import INK, SHAPES, arm_colour, arm_title, legend, panel
from plgg.report.experiment.subgroups import TITLES, Group

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


_LEVEL = 0.2
_ARM = 0.14
_HEAD = 1.3


def subgroups_figure(groups: Sequence[Group], arms: Sequence[str]) -> Figure:
    """A dot and its interval for each arm in each group, the groups by trait.

    Args:
        groups: At least one.
        arms: All arms of the experiment, for their colours.
    """
    shown = tuple(groups[0].dice)
    traits = list(dict.fromkeys(group.trait for group in groups))
    step = _ARM / (_LEVEL + _ARM * len(shown))
    rows = len(groups) * (_LEVEL + _ARM * len(shown)) + len(traits) * 2 * _LEVEL
    figure, axes = panel(
        "Test Dice by kinds of patients", x="mean test Dice", y="", size=(7.4, _HEAD + rows)
    )
    ticks: list[tuple[float, str, str]] = []
    y = 0.0
    for trait in traits:
        ticks.append((y - 0.15, TITLES.get(trait, trait), "bold"))
        y += 0.75
        for group in (each for each in groups if each.trait == trait):
            ticks.append((y, f"{group.level}  (n = {group.n_patients})", "normal"))
            for index, arm in enumerate(shown):
                offset = (index - (len(shown) - 1) / 2) * step
                look = (arm_colour(arm, arms), SHAPES[list(arms).index(arm) % len(SHAPES)])
                _bar(axes, y + offset, group.dice[arm], look)
            y += 1.0
        y += 0.25
    _names(axes, ticks)
    axes.set_ylim(y - 0.5, -0.6)
    _key(figure, axes, shown, arms)
    return figure


def _bar(axes: Axes, y: float, dice: Interval, look: tuple[str, str]) -> None:
    colour, shape = look
    if dice.value is None:
        return
    if dice.ci_low is not None and dice.ci_high is not None:
        axes.plot((dice.ci_low, dice.ci_high), (y, y), color=colour, linewidth=1.8, alpha=0.5)
    axes.scatter([dice.value], [y], s=30, marker=shape, color=colour, linewidth=0, zorder=3)


def _names(axes: Axes, ticks: Sequence[tuple[float, str, str]]) -> None:
    axes.set_yticks([at for at, _, _ in ticks], [text for _, text, _ in ticks])
    for label, (_, _, weight) in zip(axes.get_yticklabels(), ticks, strict=True):
        label.set_fontweight(weight)
        label.set_color(INK)
    axes.grid(visible=False, axis="y")


def _key(figure: Figure, axes: Axes, shown: Sequence[str], arms: Sequence[str]) -> None:
    for arm in shown:
        shape = SHAPES[list(arms).index(arm) % len(SHAPES)]
        colour = arm_colour(arm, arms)
        axes.scatter([], [], s=30, marker=shape, color=colour, lw=0, label=arm_title(arm))
    figure.legend(
        loc="outside lower center", ncols=len(shown), frameon=False, fontsize=9, labelcolor=INK
    )
