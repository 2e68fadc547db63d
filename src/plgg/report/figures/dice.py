"""Dice of every scan and of every subgroup."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plgg.evaluate.evaluation import Evaluation
from plgg.evaluate.records import CaseScores, Spread, Subgroup
from plgg.report.drawing import FAINT, INK, panel
from plgg.report.figures.volume import BLUE, logarithmic
from plgg.report.numbers import number

_WIDTH = 5.2
_ROW = 0.235


def scans_figure(found: Evaluation) -> Figure:
    """A point for each scan, the worst on the left, with the mean and its interval."""
    values = sorted(row.dice for row in found.rows if row.dice is not None)
    figure, axes = panel("Dice of each scan", x="scans, worst to best", y="Dice")
    dice = found.summary.segmentation["dice"]
    if dice.mean is not None:
        axes.axhline(dice.mean, color=INK, linewidth=1.4)
        axes.annotate(
            f"mean {number(dice.mean)}",
            (0, dice.mean),
            xycoords=("axes fraction", "data"),
            xytext=(4, 4),
            textcoords="offset points",
            color=INK,
            fontsize=9,
        )
    if dice.ci_low is not None and dice.ci_high is not None:
        axes.axhspan(dice.ci_low, dice.ci_high, color=BLUE, alpha=0.12, linewidth=0)
    axes.vlines(range(len(values)), 0, values, color=BLUE, alpha=0.25, linewidth=1)
    axes.scatter(range(len(values)), values, s=24, color=BLUE, linewidth=0, zorder=3)
    axes.set_xticks([])
    axes.set_ylim(-0.03, 1.03)
    axes.grid(visible=False, axis="x")
    return figure


def sizes_figure(rows: Sequence[CaseScores]) -> Figure:
    """Dice against the true volume."""
    figure, axes = panel("Dice and size of the tumour", x="true volume, mL", y="Dice")
    known = [(r.volume_ml, r.dice) for r in rows if r.volume_ml and r.dice is not None]
    x, y = [x for x, _ in known], [y for _, y in known]
    axes.scatter(x, y, s=26, color=BLUE, alpha=0.8, linewidth=0, zorder=3)
    logarithmic(axes, "x")
    axes.set_ylim(-0.03, 1.03)
    return figure


def forest_figure(groups: Sequence[Subgroup], whole: Spread) -> Figure:
    """Mean Dice and interval of each subgroup; the dashed line is that of all scans."""
    names = list(dict.fromkeys(found.group for found in groups))
    n_rows = len(groups) + len(names)
    figure, axes = panel(
        "Dice by subgroup", x="mean Dice", y="", size=(_WIDTH, 0.9 + _ROW * n_rows)
    )
    ticks: list[tuple[float, str, bool]] = []
    y = 0.0
    for name in names:
        ticks.append((y, name, True))
        for found in (g for g in groups if g.group == name):
            y += 1
            ticks.append((y, f"{found.level}  (n = {found.n_patients})", False))
            _bar(axes, y, found.metrics.get("dice"))
        y += 1
    if whole.mean is not None:
        axes.axvline(whole.mean, color=FAINT, linewidth=1, linestyle=(0, (4, 3)))
    axes.set_yticks([at for at, _, _ in ticks], [text for _, text, _ in ticks])
    for label, (_, _, is_heading) in zip(axes.get_yticklabels(), ticks, strict=True):
        label.set_fontweight("bold" if is_heading else "normal")
        label.set_color(INK)
    axes.set_xlim(-0.03, 1.03)
    axes.set_ylim(y - 0.2, -0.8)
    axes.grid(visible=False, axis="y")
    return figure


def _bar(axes: Axes, y: float, dice: Spread | None) -> None:
    if dice is None or dice.mean is None:
        axes.text(0.0, y, "too few to judge", color=FAINT, fontsize=8, va="center")
        return
    if dice.ci_low is not None and dice.ci_high is not None:
        axes.plot((dice.ci_low, dice.ci_high), (y, y), color=BLUE, linewidth=2, alpha=0.55)
    axes.scatter([dice.mean], [y], s=30, color=BLUE, linewidth=0, zorder=3)
