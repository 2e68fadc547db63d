"""Curves over epochs, gradients of the tasks, and a searched setting."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from plgg.evaluate.experiment_records import Experiment, Run, dig, finite
from plgg.report.drawing import FAINT, INK, arm_colour, arm_title, legend, panel
from plgg.report.experiment.runs import Point, levels
from plgg.report.figures.volume import logarithmic
from plgg.report.numbers import signed

Points = list[tuple[int, float]]


@dataclass(frozen=True)
class Curve:
    """What a panel shows.

    Attributes:
        title: Its title.
        label: What the vertical axis counts.
        keys: Where the number lies in a line of `metrics.jsonl`.
        guess: Value to be told from, such as that of guessing; None where there is none.
        guessed: What that value is.
        share: Whether it lies between 0 and 1.
        logarithmic: Whether it is drawn on a logarithmic axis.
    """

    title: str
    label: str
    keys: tuple[str, str]
    guess: float | None = None
    share: bool = False
    guessed: str = "guessing"
    logarithmic: bool = False


CURVES = (
    Curve("Training loss, all terms", "loss", ("train", "loss")),
    Curve("Segmentation term", "soft Dice loss", ("train", "segmentation")),
    Curve("Marker term, training", "cross-entropy", ("train", "marker")),
    Curve("Marker loss, validation", "cross-entropy", ("validation", "marker_loss")),
    Curve("Dice, validation", "mean Dice", ("validation", "dice"), share=True),
    Curve("Marker AUC, validation", "macro AUC", ("validation", "marker_auc"), 0.5, share=True),
)


def points(run: Run, curve: Curve) -> Points:
    """Epoch and value, where there is one."""
    found = ((int(e["epoch"]), finite(dig(e, *curve.keys))) for e in run.epochs)
    return [(epoch, value) for epoch, value in found if value is not None]


def training_figure(experiment: Experiment, curve: Curve) -> Figure:
    """One curve of all runs."""
    figure, axes = panel(curve.title, x="epoch", y=curve.label)
    for arm in experiment.arms:
        lines = [line for run in experiment.of(arm) if (line := points(run, curve))]
        _draw_lines(axes, lines, arm_colour(arm, experiment.arms), arm_title(arm))
    if curve.guess is not None:
        axes.axhline(curve.guess, color=FAINT, linewidth=1, linestyle=(0, (4, 3)))
        axes.annotate(
            curve.guessed,
            (1, curve.guess),
            xycoords=("axes fraction", "data"),
            xytext=(-2, 3),
            textcoords="offset points",
            ha="right",
            color=FAINT,
            fontsize=8.5,
        )
    if curve.share:
        axes.set_ylim(-0.03, 1.03)
    if curve.logarithmic:
        logarithmic(axes, "y")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    legend(axes, loc="lower right" if curve.share else "upper right")
    return figure


def _draw_lines(axes: Axes, lines: Sequence[Points], colour: str, name: str) -> None:
    if not lines:
        return
    several = len(lines) > 1
    for line in lines:
        few = "o" if len(line) < 15 and not several else None
        axes.plot(
            *zip(*line, strict=True),
            color=colour,
            linewidth=0.8 if several else 1.8,
            alpha=0.45 if several else 1.0,
            marker=few,
            markersize=4,
            label=None if several else name,
        )
    if several:
        axes.plot(*zip(*_mean_line(lines), strict=True), color=colour, linewidth=2.2, label=name)


def _mean_line(lines: Sequence[Points]) -> Points:
    """Mean at the epochs that all lines have, or at any if they share none."""
    values: dict[int, list[float]] = defaultdict(list)
    for line in lines:
        for epoch, value in line:
            values[epoch].append(value)
    shared = {epoch: found for epoch, found in values.items() if len(found) == len(lines)}
    return [(epoch, sum(f) / len(f)) for epoch, f in sorted((shared or values).items())]


COSINE = Curve(
    "Cosine of the tasks' gradients",
    "cosine",
    ("gradients", "cosine"),
    0.0,
    guessed="no effect on each other",
)
_NORM = "norm on the encoder"
NORMS = (
    Curve("Gradient of the outline", _NORM, ("gradients", "segmentation"), logarithmic=True),
    Curve("Gradient of the marker", _NORM, ("gradients", "marker"), logarithmic=True),
)
WEIGHTS = (
    Curve("Weight of the outline", "weight", ("weights", "segmentation")),
    Curve("Weight of the marker", "weight", ("weights", "marker")),
)


def gradient_curves(experiment: Experiment) -> tuple[Curve, ...]:
    """Cosine and norms; the tasks' weights as well where training changed them."""
    moved = any(_moves(experiment, curve) for curve in WEIGHTS)
    return (COSINE, *NORMS, *(WEIGHTS if moved else ()))


def _moves(experiment: Experiment, curve: Curve) -> bool:
    """Whether a curve is more than a flat line in any run."""
    return any(len({value for _, value in points(run, curve)}) > 1 for run in experiment.runs)


def gradients_told(experiment: Experiment) -> list[str]:
    """A sentence for each arm whose cosine was measured: its mean, and how often it is below 0."""
    told = []
    for arm in experiment.arms:
        found = [value for run in experiment.of(arm) for _, value in points(run, COSINE)]
        if found:
            against = sum(value < 0 for value in found) / len(found)
            told.append(
                f"{arm_title(arm)}: the cosine is {signed(statistics.fmean(found), 2)} on average "
                f"and below 0 in {100 * against:.0f} % of the epochs."
            )
    return told


_DICE, _AUC = "#0072b2", "#d55e00"
# The two lines stand a little apart, so that neither hides the other's spread.
_APART = 0.05
_SYMBOLS = {"loss.marker_weight": "λ, the weight of the marker's loss"}


def setting_name(key: str) -> str:
    """What a setting is called in the paper, else its key."""
    return _SYMBOLS.get(key, key)


def grid_figure(points: Sequence[Point], arm: str, key: str) -> Figure:
    """Means over splits and the other settings as lines, splits as dots, the chosen ringed.

    Whiskers are one standard deviation to either side.
    """
    mine = [point for point in points if point.arm == arm and key in point.values]
    values = levels(mine, key)
    figure, axes = panel(
        f"Search of {key}, {arm_title(arm).lower()}", x=setting_name(key), y="on validation"
    )
    for of, shift, colour, name in (
        (_dice, -_APART, _DICE, "Dice"),
        (_auc, _APART, _AUC, "marker AUC"),
    ):
        by_value = [_known(mine, key, value, of) for value in values]
        _line(axes, by_value, shift, colour=colour, name=name)
    _rings(axes, [(values.index(p.values[key]) - _APART, p.dice) for p in mine if p.chosen])
    axes.set_xticks(range(len(values)), values, color=INK)
    axes.set_xlim(-0.4, len(values) - 0.6)
    legend(axes, loc="best")
    return figure


def _rings(axes: Axes, chosen: Sequence[tuple[float, float | None]]) -> None:
    """A ring around the Dice of each winner."""
    known = [(x, y) for x, y in chosen if y is not None]
    if known:
        axes.scatter(
            [x for x, _ in known],
            [y for _, y in known],
            s=70,
            facecolor="none",
            edgecolor=INK,
            linewidth=1.2,
            label="chosen",
            zorder=4,
        )


def _dice(point: Point) -> float | None:
    return point.dice


def _auc(point: Point) -> float | None:
    return point.auc


def _known(
    points: Sequence[Point], key: str, value: str, of: Callable[[Point], float | None]
) -> list[float]:
    return [y for p in points if p.values[key] == value and (y := of(p)) is not None]


def _line(
    axes: Axes, by_value: Sequence[Sequence[float]], shift: float, *, colour: str, name: str
) -> None:
    known = [(place + shift, found) for place, found in enumerate(by_value) if found]
    if not known:
        return
    for x, found in known:
        axes.scatter([x] * len(found), found, s=16, color=colour, alpha=0.5, linewidth=0)
        if len(found) > 1:
            mean, sd = float(np.mean(found)), float(np.std(found, ddof=1))
            axes.plot((x, x), (mean - sd, mean + sd), color=colour, linewidth=1, alpha=0.6)
    means = [(x, float(np.mean(found))) for x, found in known]
    axes.plot(*zip(*means, strict=True), color=colour, linewidth=2, marker="o", label=name)
