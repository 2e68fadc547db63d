"""The figures of each section as pictures with words for those who cannot see them.

A figure whose records are missing is left out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from plgg.compare import Contrast, ExperimentComparison
from plgg.metrics.calibration import calibration_error
from plgg.report.canvas import Picture, as_png, as_svg
from plgg.report.evaluation.figures_marker import reliability_figure
from plgg.report.experiment_records import Experiment
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
from plgg.report.figures_training import CURVES, Curve, points, training_figure
from plgg.report.figures_volume import agreement_figure, dice_figure
from plgg.report.numbers import count, number
from plgg.report.palette import arm_title

# Above so many points an SVG grows larger than a PNG.
_MANY_POINTS = 3000


def pair_pictures(experiment: Experiment, comparison: ExperimentComparison | None) -> list[Picture]:
    """Patients in both arms, and Dice and volume against the tumour's size."""
    contrasts = comparison.on("test") if comparison else ()
    pictures = [paired_picture(c, experiment) for c in contrasts if c.patient_differences]
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


def paired_picture(contrast: Contrast, experiment: Experiment) -> Picture:
    """Each patient in both arms, joined by a line."""
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


def training_pictures(experiment: Experiment) -> list[Picture]:
    """A picture for each curve that any run has points of."""
    return [p for curve in CURVES if (p := curve_picture(experiment, curve)) is not None]


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
            f"On the dashed line the probabilities can be taken at their word; below it the model "
            f"is too sure. Expected calibration error {number(calibration_error(bins))} of "
            f"{count(sum(each.n for each in bins), 'tested scan')}, all splits together. Bars are "
            "Wilson's 95 % intervals."
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
