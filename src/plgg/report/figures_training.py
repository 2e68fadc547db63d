"""Curves over epochs: every run a thin line in its arm's colour, their mean a bold one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from plgg.report.canvas import legend, panel
from plgg.report.evaluation.figures_agreement import logarithmic
from plgg.report.experiment_records import Experiment, Run
from plgg.report.lookup import dig, finite
from plgg.report.palette import FAINT, arm_colour, arm_title

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
        _draw(axes, lines, arm_colour(arm, experiment.arms), arm_title(arm))
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


def _draw(axes: Axes, lines: Sequence[Points], colour: str, name: str) -> None:
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
        axes.plot(*zip(*_mean(lines), strict=True), color=colour, linewidth=2.2, label=name)


def _mean(lines: Sequence[Points]) -> Points:
    """Mean at the epochs that all lines have, or at any if they share none."""
    values: dict[int, list[float]] = defaultdict(list)
    for line in lines:
        for epoch, value in line:
            values[epoch].append(value)
    shared = {epoch: found for epoch, found in values.items() if len(found) == len(lines)}
    return [(epoch, sum(f) / len(f)) for epoch, f in sorted((shared or values).items())]
