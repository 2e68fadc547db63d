"""The points of an experiment's grid: what each scored on every split's validation patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from plgg.errors import PlggError
from plgg.evaluate import read_evaluation
from plgg.io.experiment import arm_folder, points_of, read_choice
from plgg.report.experiment_records import Experiment
from plgg.report.lookup import summary_value


@dataclass(frozen=True)
class Point:
    """One point of the grid on one split.

    Attributes:
        arm: Whose.
        split: Number of the split.
        values: The setting's value by its key, as text.
        dice: Mean validation Dice, that by which points are chosen; None where it is not there.
        auc: Marker AUC on validation; None likewise.
        chosen: Whether this split's validation patients chose it.
    """

    arm: str
    split: int
    values: dict[str, str]
    dice: float | None
    auc: float | None
    chosen: bool


def grid_points(experiment: Experiment) -> tuple[Point, ...]:
    """Every point that is evaluated, split by split; empty without a grid."""
    found = []
    for split in range(experiment.n_splits):
        for arm in experiment.arms:
            choice = read_choice(arm_folder(experiment.folder, split, arm))
            for name, run in points_of(experiment.folder, split, arm).items():
                dice, auc = _validation(run)
                if choice is not None and choice.scores.get(name) is not None:
                    dice = choice.scores[name]
                if dice is None and auc is None:
                    continue
                values = dict(part.split("=", 1) for part in name.split(","))
                chosen = choice is not None and choice.point == name
                found.append(Point(arm, split, values, dice, auc, chosen))
    return tuple(found)


def _validation(run: Path) -> tuple[float | None, float | None]:
    """Dice and AUC of the validation part; None where there is none."""
    try:
        evaluation = read_evaluation(run / "evaluation" / "validation")
    except PlggError:
        return None, None
    return (
        summary_value(evaluation, "segmentation", "dice", "mean"),
        summary_value(evaluation, "marker", "auc", "value"),
    )


def searched(points: Sequence[Point]) -> tuple[str, ...]:
    """The settings that the points differ in."""
    return tuple(dict.fromkeys(key for point in points for key in point.values))


def levels(points: Sequence[Point], key: str) -> tuple[str, ...]:
    """The values of a setting, numbers in their order, words as they come."""
    values = list(dict.fromkeys(point.values[key] for point in points if key in point.values))
    try:
        return tuple(sorted(values, key=float))
    except ValueError:
        return tuple(values)


def winners(points: Sequence[Point], key: str) -> dict[str, list[int]]:
    """The splits that chose each value of a setting, for the values that any chose."""
    return {
        value: splits
        for value in levels(points, key)
        if (splits := [p.split for p in points if p.chosen and p.values.get(key) == value])
    }
