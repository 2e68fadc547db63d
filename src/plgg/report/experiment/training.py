"""Figures of the training: curves over epochs, gradients of the tasks, and grid searches."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from plgg.evaluate.experiment_records import Experiment, Run, finite, nested
from plgg.report.drawing import DASHED, Style, annotate, as_png, as_svg, legend, logarithmic, panel
from plgg.report.experiment.runs import RunRecord, grid_points, levels, searched, winners
from plgg.report.numbers import count, number, signed
from plgg.report.parts import BLUE, FAINT, INK, Picture, arm_colour, arm_title

Points = list[tuple[int, float]]


@dataclass(frozen=True)
class Curve:
    """A curve over epochs: where its values are stored, and how it is drawn.

    Attributes:
        title: Its title.
        label: What the vertical axis counts.
        keys: Where the number lies in a line of `metrics.jsonl`.
        reference: A value to compare with, such as that of chance; None where there is none.
        meaning: What that value is.
        share: Whether it lies between 0 and 1.
        logarithmic: Whether it is drawn on a logarithmic axis.
    """

    title: str
    label: str
    keys: tuple[str, str]
    reference: float | None = None
    share: bool = False
    meaning: str = "chance"
    logarithmic: bool = False


CURVES = (
    Curve("Training loss, all terms", "loss", ("train", "loss")),
    Curve("Segmentation term", "soft Dice loss", ("train", "segmentation")),
    Curve("Marker term, training", "cross-entropy", ("train", "marker")),
    Curve("Distance term, training", "squared error", ("train", "signed_distance")),
    Curve("Slice term, training", "cross-entropy", ("train", "tumour_slice")),
    Curve("Marker loss, validation", "cross-entropy", ("validation", "marker_loss")),
    Curve("Dice, validation", "mean Dice", ("validation", "dice"), share=True),
    Curve("Marker AUC, validation", "macro AUC", ("validation", "marker_auc"), 0.5, share=True),
)


def points(run: Run, curve: Curve) -> Points:
    """Epochs and values; epochs without a value are left out."""
    found = ((int(e["epoch"]), finite(nested(e, *curve.keys))) for e in run.epochs)
    return [(epoch, value) for epoch, value in found if value is not None]


def training_figure(experiment: Experiment, curve: Curve) -> Figure:
    """Draw one curve for all runs, with the mean of each arm."""
    figure, axes = panel(curve.title, x="epoch", y=curve.label)
    for arm in experiment.arms:
        lines = [line for run in experiment.of(arm) if (line := points(run, curve))]
        _draw_lines(axes, lines, arm_colour(arm, experiment.arms), arm_title(arm))
    if curve.reference is not None:
        axes.axhline(curve.reference, color=FAINT, linewidth=1, linestyle=DASHED)
        style = {"xytext": (-2, 3), "ha": "right", "color": FAINT, "fontsize": 8.5}
        annotate(axes, curve.meaning, (1, curve.reference), **style)
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
    meaning="no effect on each other",
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


def gradient_sentences(experiment: Experiment) -> list[str]:
    """A sentence for each arm whose cosine was measured: its mean, and how often it is below 0."""
    sentences = []
    for arm in experiment.arms:
        found = [value for run in experiment.of(arm) for _, value in points(run, COSINE)]
        if found:
            against = sum(value < 0 for value in found) / len(found)
            sentences.append(
                f"{arm_title(arm)}: the cosine is {signed(statistics.fmean(found), 2)} on average "
                f"and below 0 in {100 * against:.0f} % of the epochs."
            )
    return sentences


_DICE, _AUC = BLUE, "#d55e00"
# The two lines stand a little apart, so that neither hides the other's spread.
_APART = 0.05
_SYMBOLS = {"loss.marker_weight": "λ, the weight of the marker's loss"}


def setting_name(key: str) -> str:
    """The symbol of a setting in the paper, else its key."""
    return _SYMBOLS.get(key, key)


def grid_figure(points: Sequence[RunRecord], arm: str, key: str) -> Figure:
    """Means over splits and the other settings as lines, splits as dots, the chosen ringed.

    Whiskers are one standard deviation to either side.
    """
    mine = [point for point in points if point.arm == arm and key in point.values]
    values = levels(mine, key)
    figure, axes = panel(
        f"Search of {key}, {arm_title(arm).lower()}", x=setting_name(key), y="on validation"
    )
    for attribute, shift, colour, name in (
        ("dice", -_APART, _DICE, "Dice"),
        ("auc", _APART, _AUC, "marker AUC"),
    ):
        by_value = [
            [y for p in mine if p.values[key] == value and (y := getattr(p, attribute)) is not None]
            for value in values
        ]
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
        style: Style = {"facecolor": "none", "edgecolor": INK, "linewidth": 1.2}
        x, y = zip(*known, strict=True)
        axes.scatter(x, y, s=70, label="chosen", zorder=4, **style)


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


# Above so many points an SVG grows larger than a PNG.
_MANY_POINTS = 3000


def training_pictures(experiment: Experiment) -> list[Picture]:
    """A picture for each curve that any run has points of."""
    return [p for curve in CURVES if (p := curve_picture(experiment, curve)) is not None]


def gradient_pictures(experiment: Experiment) -> list[Picture]:
    """Pictures of the two tasks' gradients on the encoder; empty if only one task is trained."""
    found = (curve_picture(experiment, curve) for curve in gradient_curves(experiment))
    return [picture for picture in found if picture is not None]


def curve_picture(experiment: Experiment, curve: Curve) -> Picture | None:
    """A curve with its last values in words; None where no run has points of it."""
    n_points = sum(len(points(run, curve)) for run in experiment.runs)
    if not n_points:
        return None
    last = [
        f"{arm_title(arm)} ends at {number(float(np.mean(ends)))}"
        for arm in experiment.arms
        if (ends := [p[-1][1] for run in experiment.of(arm) if (p := points(run, curve))])
    ]
    alt = f"{curve.title} over the epochs. {'; '.join(last)}."
    store = as_svg if n_points <= _MANY_POINTS else as_png
    return store(training_figure(experiment, curve), alt)


def grid_pictures(experiment: Experiment) -> list[Picture]:
    """A picture for each searched setting and arm; none without a grid."""
    points = grid_points(experiment)
    return [
        _search(mine, arm, key)
        for arm in experiment.arms
        if (mine := [point for point in points if point.arm == arm])
        for key in searched(mine)
    ]


def _search(points: Sequence[RunRecord], arm: str, key: str) -> Picture:
    choices = "; ".join(
        f"{value} by {_splits(splits)}" for value, splits in winners(points, key).items()
    )
    chosen = f" Chosen: {choices}." if choices else " Nothing is chosen yet."
    others = " and values of the other settings" if len(searched(points)) > 1 else ""
    alt = (
        f"Validation Dice and marker AUC against {setting_name(key)} for "
        f"{arm_title(arm).lower()}.{chosen}"
    )
    caption = (
        f"Dots are splits{others}, lines their means, whiskers a standard deviation; rings are "
        f"the winners by validation Dice.{chosen}"
    )
    return as_svg(grid_figure(points, arm, key), alt, caption)


def _splits(numbers: Sequence[int]) -> str:
    names = ", ".join(str(number + 1) for number in numbers)
    return f"{count(len(numbers), 'split').partition(' ')[2]} {names}"
