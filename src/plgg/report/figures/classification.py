"""Confusion matrix, probabilities, ROC, reliability and risk–coverage."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from plgg.data.calibration import Bin
from plgg.evaluate.experiment_records import Experiment
from plgg.evaluate.records import Abstention, CaseScores, Markers, Reliability
from plgg.metrics.calibration import confidence_and_hits, reliability_bins
from plgg.report.drawing import FAINT, INK, RULE, class_colour, legend, panel
from plgg.report.figures.volume import BLUE
from plgg.report.numbers import number

_BLUES = LinearSegmentedColormap.from_list("calm", ["#ffffff", "#cfe3f1", "#0072b2"])


def class_list(experiment: Experiment, arm: str) -> tuple[str, ...]:
    """The classes that an arm tells apart, as its first evaluation lists them."""
    for found in experiment.tests(arm):
        if found.summary.marker:
            return found.summary.marker.classes
    named = [case.probabilities for _, case in experiment.tested(arm) if case.probabilities]
    return tuple(named[0]) if named else ()


def confusion(experiment: Experiment, arm: str) -> NDArray[np.int64]:
    """Tested scans by true class (rows) and named class, summed over the splits."""
    classes = class_list(experiment, arm)
    counts = np.zeros((len(classes), len(classes)), dtype=np.int64)
    for _, case in experiment.tested(arm):
        if case.marker in classes and case.predicted_marker in classes:
            counts[classes.index(case.marker), classes.index(case.predicted_marker)] += 1
    return counts


def reliability(experiment: Experiment, arm: str) -> Sequence[Bin]:
    """Bins of the named marker's probability with the share named rightly, of all splits."""
    classes = class_list(experiment, arm)
    known = [
        case
        for _, case in experiment.tested(arm)
        if case.marker in classes and set(classes) <= set(case.probabilities)
    ]
    if not known:
        return ()
    chances = np.array([[case.probabilities[name] for name in classes] for case in known])
    truth = np.array([classes.index(case.marker or "") for case in known], dtype=np.int64)
    return reliability_bins(*confidence_and_hits(chances, truth))


def confusion_figure(counts: NDArray[np.int64], classes: Sequence[str]) -> Figure:
    """Counts, and the share of each true class."""
    figure, axes = panel("Confusion matrix", x="named by the model", y="true marker")
    rows = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(rows, 1)
    axes.imshow(shares, cmap=_BLUES, vmin=0, vmax=1, aspect="auto")
    for (row, column), n in np.ndenumerate(counts):
        told = f"{n}\n{shares[row, column]:.0%}" if rows[row, 0] else "–"
        ink = "white" if shares[row, column] > 0.8 else INK
        axes.text(column, row, told, ha="center", va="center", color=ink, fontsize=10)
    axes.set_xticks(range(len(classes)), classes)
    axes.set_yticks(range(len(classes)), classes)
    axes.grid(visible=False)
    axes.spines[["left", "bottom"]].set_visible(False)
    for edge in range(len(classes) - 1):
        axes.axhline(edge + 0.5, color="white", linewidth=2)
        axes.axvline(edge + 0.5, color="white", linewidth=2)
    return figure


def probabilities(experiment: Experiment, arm: str) -> dict[str, list[Mapping[str, float]]]:
    """Probabilities of the tested scans by true class, a scan's mean over splits; best first."""
    found: dict[str, list[CaseScores]] = defaultdict(list)
    for _, case in experiment.tested(arm):
        if case.marker and case.probabilities:
            found[case.case_id].append(case)
    by_class: dict[str, list[Mapping[str, float]]] = defaultdict(list)
    for cases in found.values():
        mean = {
            name: sum(case.probabilities.get(name, 0.0) for case in cases) / len(cases)
            for name in cases[0].probabilities
        }
        by_class[str(cases[0].marker)].append(mean)
    return {
        name: sorted(patients, key=lambda p, name=name: -p.get(name, 0.0))  # type: ignore[misc]
        for name, patients in by_class.items()
    }


def probability_figure(experiment: Experiment, arm: str) -> Figure:
    """A bar for each scan, grouped by its true class and sorted by the probability of that."""
    classes = class_list(experiment, arm)
    groups = probabilities(experiment, arm)
    present = [name for name in classes if groups.get(name)]
    figure, axes = panel("Probabilities of each scan, by true marker", x="", y="probability")
    start, ticks = 0.0, []
    for name in present:
        patients = groups[name]
        _bars(axes, patients, start=start, first=name, classes=classes)
        ticks.append(start + (len(patients) - 1) / 2)
        start += len(patients) + max(1.0, 0.03 * sum(map(len, groups.values())))
    axes.set_xticks(ticks, [f"{name}\nn = {len(groups[name])}" for name in present], color=INK)
    axes.axhline(1 / len(classes), color=FAINT, linewidth=1, linestyle=(0, (4, 3)))
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
    patients: Sequence[Mapping[str, float]],
    *,
    start: float,
    first: str,
    classes: Sequence[str],
) -> None:
    """Stacked bars; the true class stands on the ground, where heights can be compared."""
    x = start + np.arange(len(patients))
    ground = np.zeros(len(patients))
    for name in (first, *(other for other in classes if other != first)):
        heights = np.array([p.get(name, 0.0) for p in patients])
        axes.bar(
            x,
            heights,
            0.86,
            bottom=ground,
            color=class_colour(classes.index(name)),
            edgecolor=RULE,
            linewidth=0.3,
        )
        ground += heights


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
