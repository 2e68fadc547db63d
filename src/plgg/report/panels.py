"""The figures of each section as pictures with words for those who cannot see them.

A figure whose records are missing is left out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from plgg.compare import Contrast, ExperimentComparison
from plgg.report.canvas import Picture, as_png, as_svg
from plgg.report.evaluation.figures_marker import reliability_figure
from plgg.report.experiment_records import Experiment
from plgg.report.figures_forest import forest_figure
from plgg.report.figures_grid import grid_figure
from plgg.report.figures_groups import groups_figure, true_markers
from plgg.report.figures_marker import (
    class_list,
    confusion,
    confusion_figure,
    probabilities,
    probability_figure,
    reliability,
)
from plgg.report.figures_pairs import paired_figure
from plgg.report.figures_training import CURVES, GRADIENTS, Curve, points, training_figure
from plgg.report.figures_volume import agreement_figure, dice_figure
from plgg.report.grid_records import grid_points, searched
from plgg.report.numbers import count, number, reach, signed
from plgg.report.palette import arm_title

# Above so many points an SVG grows larger than a PNG.
_MANY_POINTS = 3000


def pair_pictures(experiment: Experiment, comparison: ExperimentComparison | None) -> list[Picture]:
    """Patients in both arms, and Dice and volume against the tumour's size."""
    contrasts = comparison.on("test") if comparison else ()
    pictures = [_paired(c, experiment) for c in contrasts if c.patient_differences]
    cases = [case for arm in experiment.arms for _, case in experiment.tested(arm)]
    if any(case.volume_ml and case.dice is not None for case in cases):
        alt = "Scatter of test Dice against the true tumour volume, one colour and shape an arm."
        caption = "One point for each tested scan and split."
        pictures.append(as_svg(dice_figure(experiment), alt, caption))
    if any(case.volume_ml and case.predicted_volume_ml is not None for case in cases):
        alt = "Scatter of predicted against true tumour volume with the line of equality."
        caption = "On the dashed line the predicted volume is the true one."
        pictures.append(as_svg(agreement_figure(experiment), alt, caption))
    if true_markers(experiment):
        alt = "Strips of test Dice by true marker and arm, with their means."
        caption = "Whether one kind of tumour is outlined worse than another. Bars are means."
        pictures.append(as_svg(groups_figure(experiment), alt, caption))
    return pictures


def _paired(contrast: Contrast, experiment: Experiment) -> Picture:
    found = contrast.patients
    n = len(contrast.patient_differences)
    a, b = arm_title(contrast.a).lower(), arm_title(contrast.b).lower()
    told = f"{count(n, 'patient')}."
    if found is not None and found.n_improved is not None:
        told = (
            f"Of {count(n, 'patient')}, better with {b}: {found.n_improved}, with {a}: "
            f"{found.n_worse}, equal: {found.n_equal}."
        )
    alt = f"Lines from each patient's test Dice with {a} to that with {b}. {told}"
    caption = f"One line a patient, in the colour of the arm that is better. {told}"
    return as_svg(paired_figure(contrast, experiment.arms), alt, caption)


def forest_picture(experiment: Experiment, comparison: ExperimentComparison) -> Picture | None:
    """Every arm's gain over the baseline; None without a contrast."""
    contrasts = comparison.on("test")
    if not contrasts:
        return None
    told = [
        f"{arm_title(c.b)} {signed(c.difference)} ({reach(c.interval.low, c.interval.high)})"
        for c in contrasts
    ]
    alt = f"Forest plot of differences of test Dice: {'; '.join(told)}."
    caption = (
        "Dots are splits; the diamond is the mean of all with its 95 % interval, of a bootstrap "
        "over splits, then patients. An interval across the line leaves open which is better."
    )
    return as_svg(forest_figure(contrasts, experiment.arms), alt, caption)


def grid_pictures(experiment: Experiment) -> list[Picture]:
    """A picture for each searched setting and arm; none without a grid."""
    points = grid_points(experiment)
    found = []
    for arm in experiment.arms:
        mine = tuple(point for point in points if point.arm == arm)
        for key in searched(mine):
            alt = f"Validation Dice and marker AUC against {key} for {arm_title(arm).lower()}."
            caption = (
                "Dots are splits, lines their means; rings are what each split's validation "
                "patients chose. Test patients are not looked at here."
            )
            found.append(as_svg(grid_figure(points, arm, key), alt, caption))
    return found


def gradient_pictures(experiment: Experiment) -> list[Picture]:
    """How the two tasks pull at the encoder; none where only one task is learnt."""
    return [p for curve in GRADIENTS if (p := _training(experiment, curve)) is not None]


def training_pictures(experiment: Experiment) -> list[Picture]:
    """A picture for each curve that any run has points of."""
    return [p for curve in CURVES if (p := _training(experiment, curve)) is not None]


def _training(experiment: Experiment, curve: Curve) -> Picture | None:
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


def marker_pictures(experiment: Experiment, arm: str) -> list[Picture]:
    """The confusion matrix and the probabilities of an arm."""
    classes = class_list(experiment, arm)
    counts = confusion(experiment, arm)
    pictures = []
    if counts.any():
        alt = f"Confusion matrix of {arm_title(arm).lower()}: {_in_words(counts, classes)}."
        caption = "Rows add up to 100 %. A scan that several splits tested counts in each."
        pictures.append(as_svg(confusion_figure(counts, classes), alt, caption))
    if any(probabilities(experiment, arm).get(name) for name in classes):
        alt = (
            "Stacked bars of the class probabilities of every tested scan, grouped by true marker."
        )
        caption = (
            "One bar a scan. The true class stands on the ground: the higher its colour, the "
            "better. Dashed: guessing."
        )
        pictures.append(as_svg(probability_figure(experiment, arm), alt, caption))
    bins = reliability(experiment, arm)
    if bins:
        alt = "Share named rightly against the probability of the named marker, by bins."
        caption = (
            "On the dashed line the probabilities can be taken at their word. Bars are Wilson's "
            "95 % intervals; all splits together."
        )
        pictures.append(as_svg(reliability_figure(bins), alt, caption))
    return pictures


def _in_words(counts: np.ndarray[tuple[int, ...], np.dtype[np.int64]], names: Sequence[str]) -> str:
    return "; ".join(
        f"of {int(row.sum())} {truth}, "
        + ", ".join(f"{int(n)} named {name}" for name, n in zip(names, row, strict=True))
        for truth, row in zip(names, counts, strict=True)
        if row.sum()
    )
