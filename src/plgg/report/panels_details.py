"""The figures that tell arms apart and explain them: forest, subgroups, search, gradients.

With words for those who cannot see them; a figure whose records are missing is left out.
"""

from __future__ import annotations

from collections.abc import Sequence

from plgg.compare import Contrast, ExperimentComparison
from plgg.report.canvas import Picture, as_svg
from plgg.report.experiment_records import Experiment
from plgg.report.figures_forest import forest_figure
from plgg.report.figures_gradients import gradient_curves
from plgg.report.figures_grid import grid_figure, setting_name
from plgg.report.figures_subgroups import subgroups_figure
from plgg.report.grid_records import Point, grid_points, searched, winners
from plgg.report.numbers import count, reach, signed
from plgg.report.palette import arm_title
from plgg.report.panels import curve_picture
from plgg.report.subgroups import Group


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
