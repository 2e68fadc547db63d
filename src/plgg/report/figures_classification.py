"""Figures of a classification: ROC curves, confusion, calibration, risk–coverage, probabilities."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import ConfusionMatrixDisplay, RocCurveDisplay

from plgg.data.calibration import Bin
from plgg.evaluate.records import Abstention, CaseScores, Markers, Reliability
from plgg.report.drawing import DASHED, Style, legend, panel
from plgg.report.numbers import number
from plgg.report.parts import BLUE, FAINT, INK, RULE, class_colour

Probabilities = Mapping[str, Sequence[Mapping[str, float]]]
"""By true class, for each scan the probability of every class."""
_BLUES = LinearSegmentedColormap.from_list("calm", ["#ffffff", "#cfe3f1", BLUE])
_SQUARE = (4.6, 3.9)


def confusion_figure(counts: NDArray[np.int64], classes: Sequence[str]) -> Figure:
    """Counts, and the share of each true class."""
    figure, axes = panel("Confusion matrix", x="predicted class", y="true class")
    rows = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(rows, 1)
    shown = ConfusionMatrixDisplay(shares, display_labels=classes)
    shown.plot(ax=axes, cmap=_BLUES, colorbar=False, im_kw={"vmin": 0, "vmax": 1, "aspect": "auto"})
    for (row, column), text in np.ndenumerate(shown.text_):
        text.set_text(f"{counts[row, column]}\n{shares[row, column]:.0%}" if rows[row, 0] else "–")
        text.set(color="white" if shares[row, column] > 0.8 else INK, fontsize=10)
    axes.set(xlabel="predicted class", ylabel="true class")
    axes.grid(visible=False)
    axes.spines[["left", "bottom"]].set_visible(False)
    return figure


def probability_figure(groups: Probabilities, classes: Sequence[str]) -> Figure:
    """A bar for each scan, grouped by its true class and sorted by the probability of that."""
    present = [name for name in classes if groups.get(name)]
    figure, axes = panel("Probabilities of each scan, by true class", x="", y="probability")
    start, ticks = 0.0, []
    for name in present:
        scans = groups[name]
        _bars(axes, scans, start=start, first=name, classes=classes)
        ticks.append(start + (len(scans) - 1) / 2)
        start += len(scans) + max(1.0, 0.03 * sum(map(len, groups.values())))
    axes.set_xticks(ticks, [f"{name}\nn = {len(groups[name])}" for name in present], color=INK)
    axes.axhline(1 / len(classes), color=FAINT, linewidth=1, linestyle=DASHED)
    axes.set_ylim(0, 1)
    axes.grid(visible=False, axis="x")
    for index, name in enumerate(classes):
        axes.bar([0], [0], color=class_colour(index), label=name)
    figure.legend(
        loc="outside lower center", ncols=len(classes), frameon=False, fontsize=9, labelcolor=INK
    )
    return figure


def _bars(
    axes: Axes,
    scans: Sequence[Mapping[str, float]],
    *,
    start: float,
    first: str,
    classes: Sequence[str],
) -> None:
    """Draw stacked bars; the true class is at the bottom, where heights can be compared."""
    x, ground = start + np.arange(len(scans)), np.zeros(len(scans))
    for name in (first, *(other for other in classes if other != first)):
        heights = np.array([p.get(name, 0.0) for p in scans])
        colour = class_colour(classes.index(name))
        axes.bar(x, heights, 0.86, bottom=ground, color=colour, edgecolor=RULE, linewidth=0.3)
        ground += heights


def roc_figure(rows: Sequence[CaseScores], found: Markers) -> Figure:
    """Receiver operating characteristic of each class against the rest."""
    names = {"x": "false-positive rate", "y": "true-positive rate"}
    figure, axes = panel("ROC curve of each class", **names, size=_SQUARE)
    axes.plot((0, 1), (0, 1), color=FAINT, linewidth=1, linestyle=DASHED)
    scored = [row for row in rows if row.marker in row.probabilities]
    for index, name in enumerate(found.classes):
        auc = found.auc_by_class[name].value
        if auc is not None:
            RocCurveDisplay.from_predictions(
                [row.marker == name for row in scored],
                [row.probabilities[name] for row in scored],
                ax=axes,
                drop_intermediate=False,
            )
            label = f"{name}, AUC {number(auc, 2)}"
            axes.lines[-1].set(color=class_colour(index), linewidth=2, label=label)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel=names["x"], ylabel=names["y"])
    axes.set_aspect("auto")
    legend(axes, loc="lower right")
    return figure


def calibration_figure(bins: Sequence[Bin]) -> Figure:
    """Accuracy against the confidence, by bins, with Wilson's 95 % intervals.

    Not by scikit-learn's display, which shows neither the number in a bin nor its interval.
    """
    figure, axes = panel(
        "Calibration", x="probability of the predicted class", y="accuracy", size=_SQUARE
    )
    axes.plot((0, 1), (0, 1), color=FAINT, linewidth=1, linestyle=DASHED, label="perfect")
    for each in bins:
        ends = wilson(each.accuracy, each.n)
        axes.plot((each.confidence,) * 2, ends, color=BLUE, linewidth=1.6, alpha=0.4)
        area, at = 22 + 14 * math.sqrt(each.n), (each.confidence, each.accuracy)
        axes.scatter(*at, s=area, color=BLUE, linewidth=0, zorder=3)
        style: Style = {"xytext": (7, 3), "textcoords": "offset points", "fontsize": 8}
        axes.annotate(f"n = {each.n}", at, color=INK, **style)
    axes.set(xlim=(-0.02, 1.05), ylim=(-0.03, 1.05))
    legend(axes, loc="upper left")
    return figure


def wilson(share: float, n: int) -> tuple[float, float]:
    """95 % interval of a share of n (Wilson 1927), valid for small n and for shares of 0 and 1."""
    found = binomtest(round(share * n), n).proportion_ci(method="wilson")
    return float(found.low), float(found.high)


def risk_coverage_figure(found: Reliability, abstention: Abstention | None) -> Figure:
    """Error rate if only the most confident answers are given; a cross marks the rule in use."""
    figure, axes = panel(
        "Risk–coverage",
        x="coverage: share of scans with an answer",
        y="risk: share of wrong answers",
        size=_SQUARE,
    )
    points = [(p.coverage, p.risk) for p in found.curve]
    axes.plot(*zip(*points, strict=True), color=BLUE, linewidth=1.8, marker="o", markersize=3.5)
    if abstention and abstention.share.value is not None and abstention.accuracy.value is not None:
        at = (1 - abstention.share.value, 1 - abstention.accuracy.value)
        axes.scatter(*at, s=70, marker="X", color="#d55e00", zorder=4, label="as answered")
    axes.set(xlim=(-0.02, 1.04), ylim=(-0.03, 1.03))
    legend(axes, loc="best")
    return figure
