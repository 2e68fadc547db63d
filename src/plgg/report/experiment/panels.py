"""The figures of each section with alternative texts.

With words for those who cannot see them; a figure whose records are missing is left out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from plgg.evaluate.compare.records import Contrast, ExperimentComparison
from plgg.evaluate.experiment_records import Experiment
from plgg.metrics.calibration import calibration_error
from plgg.report.drawing import Picture, arm_title, as_png, as_svg
from plgg.report.experiment.figures_arms import forest_figure, paired_figure
from plgg.report.experiment.figures_subgroups import groups_figure, subgroups_figure, true_markers
from plgg.report.experiment.figures_training import (
    CURVES,
    Curve,
    gradient_curves,
    grid_figure,
    points,
    setting_name,
    training_figure,
)
from plgg.report.experiment.runs import Point, grid_points, searched, winners
from plgg.report.experiment.subgroups import Group
from plgg.report.figures.classification import (
    class_list,
    confusion,
    confusion_figure,
    probabilities,
    probability_figure,
    reliability,
    reliability_figure,
)
from plgg.report.figures.volume import agreement_figure, dice_figure
from plgg.report.numbers import count, number, reach, signed


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
    return as_svg(forest_figure(contrasts, experiment.arms), alt, _reading(contrasts))


def _reading(contrasts: Sequence[Contrast]) -> str:
    """How to read a forest of one split, or of several."""
    if not any(contrast.splits for contrast in contrasts):
        return (
            "The diamond is the mean over patients, the line its 95 % interval of a bootstrap over "
            "patients. A line across 0 leaves open which is better; one split does not show the "
            "chance in training."
        )
    return (
        "Dots are splits, the diamond their mean. Bold: 95 % interval of a bootstrap over splits, "
        "then patients. Thin: the interval corrected for splits that share patients, which is the "
        "one to go by and may reach beyond the figure. Where it crosses 0, it is open which is "
        "better."
    )


def subgroups_picture(groups: Sequence[Group], experiment: Experiment) -> Picture | None:
    """Dice of all groups; None without a group."""
    if not groups:
        return None
    traits = ", ".join(dict.fromkeys(group.trait for group in groups))
    alt = f"Mean test Dice of each arm with its 95 % interval, by {traits}; numbers in the table."
    caption = (
        "Lines are 95 % intervals over resampled patients of these trained models; n counts "
        "patients. With so many groups some differ by chance."
    )
    return as_svg(subgroups_figure(groups, experiment.arms), alt, caption)


def grid_pictures(experiment: Experiment) -> list[Picture]:
    """A picture for each searched setting and arm; none without a grid."""
    points = grid_points(experiment)
    return [
        _search(mine, arm, key)
        for arm in experiment.arms
        if (mine := [point for point in points if point.arm == arm])
        for key in searched(mine)
    ]


def _search(points: Sequence[Point], arm: str, key: str) -> Picture:
    told = "; ".join(
        f"{value} by {_splits(splits)}" for value, splits in winners(points, key).items()
    )
    chosen = f" Chosen: {told}." if told else " Nothing is chosen yet."
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


def gradient_pictures(experiment: Experiment) -> list[Picture]:
    """How the two tasks pull at the encoder; none where only one task is learnt."""
    found = (curve_picture(experiment, curve) for curve in gradient_curves(experiment))
    return [picture for picture in found if picture is not None]


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
