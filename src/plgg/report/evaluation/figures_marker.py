"""The marker: curves of ranking, reliability of its probabilities, and risk over coverage."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from plgg.evaluate import CaseScores, Markers
from plgg.evaluate.records import Abstention, Reliability
from plgg.io.calibration import Bin
from plgg.report.canvas import legend, panel
from plgg.report.evaluation.figures_agreement import BLUE
from plgg.report.numbers import number
from plgg.report.palette import FAINT, INK, class_colour

_GUESS = (0, (4, 3))
_SQUARE = (4.6, 3.9)


def roc_figure(rows: Sequence[CaseScores], found: Markers) -> Figure:
    """Receiver operating characteristic of each class against the rest."""
    figure, axes = panel(
        "Ranking of each marker",
        x="share of the others called it too",
        y="share of its scans called it",
        size=_SQUARE,
    )
    axes.plot((0, 1), (0, 1), color=FAINT, linewidth=1, linestyle=_GUESS)
    known = [row for row in rows if row.marker in row.probabilities]
    for index, name in enumerate(found.classes):
        auc = found.auc_by_class[name].value
        if auc is not None:
            x, y = _curve(known, name)
            label = f"{name}, AUC {number(auc, 2)}"
            axes.plot(x, y, color=class_colour(index), linewidth=2, label=label)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    legend(axes, loc="lower right")
    return figure


def _curve(rows: Sequence[CaseScores], name: str) -> tuple[list[float], list[float]]:
    """False against true positive share at each probability; ties move along both at once."""
    scores = np.array([row.probabilities[name] for row in rows])
    member = np.array([row.marker == name for row in rows])
    steps = [np.inf, *np.unique(scores)[::-1]]
    called = [scores >= step for step in steps]
    return (
        [float(c[~member].mean()) for c in called],
        [float(c[member].mean()) for c in called],
    )


def reliability_figure(bins: Sequence[Bin]) -> Figure:
    """Share named rightly against the confidence, by bins, with Wilson's 95 % intervals."""
    figure, axes = panel(
        "Reliability of the named marker",
        x="probability of the named marker",
        y="share named rightly",
        size=_SQUARE,
    )
    axes.plot((0, 1), (0, 1), color=FAINT, linewidth=1, linestyle=_GUESS, label="as it says")
    for each in bins:
        low, high = wilson(each.accuracy, each.n)
        axes.plot((each.confidence,) * 2, (low, high), color=BLUE, linewidth=1.6, alpha=0.4)
        area = 22 + 14 * math.sqrt(each.n)
        axes.scatter([each.confidence], [each.accuracy], s=area, color=BLUE, linewidth=0, zorder=3)
        axes.annotate(
            f"n = {each.n}",
            (each.confidence, each.accuracy),
            xytext=(7, 3),
            textcoords="offset points",
            color=INK,
            fontsize=8,
        )
    axes.set_xlim(-0.02, 1.05)
    axes.set_ylim(-0.03, 1.05)
    legend(axes, loc="upper left")
    return figure


def wilson(share: float, n: int) -> tuple[float, float]:
    """95 % interval of a share of n (Wilson 1927), which holds for few, and for none or all."""
    z = 1.96
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return max(0.0, middle - reach), min(1.0, middle + reach)


def coverage_figure(found: Reliability, abstention: Abstention | None) -> Figure:
    """Share of wrong answers if only the surest are given; a cross where the rule stands."""
    figure, axes = panel(
        "Risk and coverage",
        x="share of scans that get an answer",
        y="share of wrong answers",
        size=_SQUARE,
    )
    points = [(p.coverage, p.risk) for p in found.curve]
    axes.plot(*zip(*points, strict=True), color=BLUE, linewidth=1.8, marker="o", markersize=3.5)
    if abstention and abstention.share.value is not None and abstention.accuracy.value is not None:
        at = (1 - abstention.share.value, 1 - abstention.accuracy.value)
        axes.scatter(*at, s=70, marker="X", color="#d55e00", zorder=4, label="as answered")
    axes.set_xlim(-0.02, 1.04)
    axes.set_ylim(-0.03, 1.03)
    legend(axes, loc="best")
    return figure
