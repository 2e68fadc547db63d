"""Patients in both arms, side by side."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plgg.compare import Contrast, Difference
from plgg.report.canvas import panel
from plgg.report.numbers import number
from plgg.report.palette import FAINT, INK, arm_colour, arm_title


def paired_figure(contrast: Contrast, arms: tuple[str, ...]) -> Figure:
    """A line for each patient from the baseline's test Dice to the other arm's."""
    figure, axes = panel("Dice of each patient", x="", y="Dice")
    for found in contrast.patient_differences:
        colour = _colour(found, contrast, arms)
        axes.plot((0, 1), (found.a, found.b), color=colour, linewidth=1.1, alpha=0.6)
    for x, arm in enumerate((contrast.a, contrast.b)):
        values = [found.b if x else found.a for found in contrast.patient_differences]
        colour = arm_colour(arm, arms)
        axes.scatter([x] * len(values), values, s=22, color=colour, zorder=3, linewidth=0)
        _mean(axes, x, sum(values) / len(values))
    axes.set_xticks((0, 1), [arm_title(contrast.a), arm_title(contrast.b)], fontsize=10, color=INK)
    axes.set_xlim(-0.45, 1.45)
    axes.set_ylim(-0.03, 1.03)
    axes.grid(visible=False, axis="x")
    return figure


def _colour(found: Difference, contrast: Contrast, arms: tuple[str, ...]) -> str:
    """The colour of the arm that is better."""
    if found.difference == 0:
        return FAINT
    return arm_colour(contrast.b if found.difference > 0 else contrast.a, arms)


def _mean(axes: Axes, x: int, value: float) -> None:
    side = 1 if x else -1
    axes.plot((x + side * 0.07, x + side * 0.17), (value, value), color=INK, linewidth=2.5)
    axes.annotate(
        f"mean\n{number(value)}",
        (x + side * 0.2, value),
        ha="left" if x else "right",
        va="center",
        fontsize=9.5,
        color=INK,
    )
