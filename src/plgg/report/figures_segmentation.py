"""Figures of outlines and volumes: Dice by scan and size, agreement (Bland and Altman 1986)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plgg.core.estimate import Estimate
from plgg.evaluate.evaluation import Evaluation
from plgg.evaluate.records import CaseScores, Limits, Spread, Subgroup
from plgg.report.drawing import DASHED, Look, annotate, forest, legend, logarithmic, panel
from plgg.report.numbers import number
from plgg.report.parts import BLUE, FAINT, INK

_SMALLEST_ML = 0.05
# Leaves room on the right of a Bland–Altman plot for the values of its lines.
_SIZE = (5.2, 3.7)
Series = Mapping[str, tuple[Look, Sequence[CaseScores]]]
"""Look and scans of each series by its title; that of a single one is blank."""


def single_series(rows: Sequence[CaseScores]) -> Series:
    """Scans as the only series."""
    return {"": ((BLUE, "o"), rows)}


def dice_of_scans_figure(found: Evaluation) -> Figure:
    """A point for each scan, the worst on the left, with the mean and its interval."""
    values = sorted(row.dice for row in found.rows if row.dice is not None)
    figure, axes = panel("Dice of each scan", x="scans, worst to best", y="Dice")
    dice = found.summary.segmentation["dice"].of_mean
    if dice.value is not None:
        axes.axhline(dice.value, color=INK, linewidth=1.4)
        annotate(axes, f"mean {number(dice.value)}", (0, dice.value), xytext=(4, 4))
    if dice.ends:
        axes.axhspan(*dice.ends, color=BLUE, alpha=0.12, linewidth=0)
    axes.vlines(range(len(values)), 0, values, color=BLUE, alpha=0.25, linewidth=1)
    axes.scatter(range(len(values)), values, s=24, color=BLUE, linewidth=0, zorder=3)
    axes.set_xticks([])
    axes.set_ylim(-0.03, 1.03)
    axes.grid(visible=False, axis="x")
    return figure


def dice_by_size_figure(series: Series) -> Figure:
    """Dice against the true volume."""
    figure, axes = panel("Dice and size of the tumour", x="true volume, mL", y="Dice")
    for title, (look, rows) in series.items():
        points = [(r.volume_ml, r.dice) for r in rows if r.volume_ml and r.dice is not None]
        _scatter(axes, points, look, title)
    logarithmic(axes, "x")
    axes.set_ylim(-0.03, 1.03)
    legend(axes, loc="lower right")
    return figure


def dice_by_subgroup_figure(groups: Sequence[Subgroup], whole: Spread) -> Figure:
    """Mean Dice and interval of each subgroup; the dashed line is that of all scans."""
    rows = [
        (
            group.group,
            f"{group.level}  (n = {group.n_patients})",
            {"": group.metrics["dice"].of_mean if "dice" in group.metrics else None},
        )
        for group in groups
    ]
    figure, axes = forest(
        rows, {"": (BLUE, "o")}, title="Forest plot: Dice by subgroup", x="mean Dice", width=5.2
    )
    if whole.mean is not None:
        axes.axvline(whole.mean, color=FAINT, linewidth=1, linestyle=DASHED)
    axes.set_xlim(-0.03, 1.03)
    return figure


def measured(rows: Sequence[CaseScores]) -> list[tuple[float, float]]:
    """True and predicted volume of the scans that have both, in mL."""
    return [
        (row.volume_ml, row.predicted_volume_ml)
        for row in rows
        if row.volume_ml is not None and row.predicted_volume_ml is not None
    ]


def volumes_figure(series: Series) -> Figure:
    """Predicted against true volume on logarithmic axes, with predicted intervals.

    A missed tumour is drawn at the lower edge, as zero has no logarithm.
    """
    figure, axes = panel("Predicted and true volume", x="true volume, mL", y="predicted volume, mL")
    all_of: list[float] = []
    for title, (look, rows) in series.items():
        points = [(_drawn(a), _drawn(b)) for a, b in measured(rows)]
        all_of += [value for pair in points for value in pair]
        for row in rows:
            if row.volume_ml is not None and row.volume_low_ml is not None and row.volume_high_ml:
                x, ends = _drawn(row.volume_ml), (_drawn(row.volume_low_ml), row.volume_high_ml)
                axes.plot((x, x), ends, color=look[0], linewidth=1, alpha=0.35)
        _scatter(axes, points, look, title)
    ends = (min(all_of) * 0.8, max(all_of) * 1.25)
    axes.plot(ends, ends, color=FAINT, linewidth=1, linestyle=DASHED, label="equal")
    logarithmic(axes, "x")
    logarithmic(axes, "y")
    legend(axes, loc="upper left")
    return figure


def _drawn(volume_ml: float) -> float:
    return max(volume_ml, _SMALLEST_ML)


def difference_figure(rows: Sequence[CaseScores], limits: Limits) -> Figure:
    """Difference in mL against the mean of both volumes."""
    figure, axes = panel(
        "Bland–Altman, mL",
        x="mean of predicted and true volume, mL",
        y="predicted − true, mL",
        size=_SIZE,
    )
    points = [((true + found) / 2, found - true) for true, found in measured(rows)]
    _agreement(axes, points, limits, lambda value: number(value, 1))
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
    _agreement(axes, points, limits, lambda value: f"× {number(math.exp(value), 2)}")
    logarithmic(axes, "x")
    furthest = max((abs(value) for _, value in points), default=0.0)
    steps = [2.0**n for n in range(-10, 11) if abs(n) <= max(1.0, furthest / math.log(2) + 0.5)]
    axes.set_yticks([math.log(step) for step in steps], [f"{step:g}" for step in steps])
    return figure


def _agreement(
    axes: Axes,
    points: Sequence[tuple[float, float]],
    limits: Limits,
    as_text: Callable[[float], str],
) -> None:
    axes.axhline(0, color=FAINT, linewidth=0.8)
    for found, style in ((limits.bias, "-"), (limits.lower, "--"), (limits.upper, "--")):
        _line(axes, found, style, as_text)
    _scatter(axes, points, (BLUE, "o"), "")


def _line(axes: Axes, found: Estimate, style: str, as_text: Callable[[float], str]) -> None:
    if found.value is None or not found.ends:
        return
    axes.axhline(found.value, color=INK, linewidth=1.2, linestyle=style)
    axes.axhspan(*found.ends, color=BLUE, alpha=0.1, linewidth=0)
    place = {"xytext": (4, 0), "va": "center", "annotation_clip": False}
    annotate(axes, as_text(found.value), (1, found.value), **place)


def _scatter(axes: Axes, points: Sequence[tuple[float, float]], look: Look, title: str) -> None:
    if not points:
        return
    colour, shape = look
    x, y = zip(*points, strict=True)
    axes.scatter(
        x,
        y,
        s=26,
        marker=shape,
        color=colour,
        alpha=0.8,
        linewidth=0,
        zorder=3,
        label=title or None,
    )
