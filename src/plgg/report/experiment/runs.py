"""Every job of an experiment: its state, time and folder; and the points of its grid.

A run is one arm on one split, or one point of its grid there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from plgg.core.errors import PlggError
from plgg.data.experiment_folder import arm_folder, points_of, read_choice, read_failure
from plgg.data.run_folder import read_environment
from plgg.evaluate.evaluation import read_evaluation
from plgg.evaluate.experiment_records import (
    PARTS,
    Experiment,
    Record,
    dig,
    finite,
    read_epochs,
    summary_value,
)
from plgg.report.drawing import arm_title
from plgg.report.numbers import count, listed

State = Literal["done", "failed", "begun", "not run yet"]


@dataclass(frozen=True)
class RunRecord:
    """What became of one run.

    Attributes:
        split: Number of the split.
        arm: Name of the arm.
        point: Point of the grid; blank without one.
        chosen: Whether that point was chosen on this split.
        state: How far it came.
        error: Why it failed, in one line; blank where it did not.
        n_epochs: Epochs so far.
        best_epoch: That of the best validation Dice, the first of equals; None before any.
        best_dice: That Dice.
        seconds: Time of all epochs.
        waited: Share of that time spent waiting for data; None where that is not recorded.
        machine: What it ran on; empty where unknown.
    """

    split: int
    arm: str
    point: str
    chosen: bool
    state: State
    error: str
    n_epochs: int
    best_epoch: int | None
    best_dice: float | None
    seconds: float
    waited: float | None
    machine: Mapping[str, object]


def run_records(experiment: Experiment) -> tuple[RunRecord, ...]:
    """By split, arm and point.

    A point that one split has is asked for on every split, so it is listed as not run where it is
    not there.
    """
    points = {arm: _points(experiment, arm) for arm in experiment.arms}
    return tuple(
        _record(experiment.folder, split, arm, point)
        for split in range(experiment.n_splits)
        for arm in experiment.arms
        for point in points[arm] or ("",)
    )


def _points(experiment: Experiment, arm: str) -> tuple[str, ...]:
    """The points of an arm's grid on any split, failed ones too, which may have left no run."""
    names: dict[str, None] = {}
    for split in range(experiment.n_splits):
        folder = arm_folder(experiment.folder, split, arm)
        choice = read_choice(folder)
        names |= dict.fromkeys(choice.scores if choice else ())
        names |= dict.fromkeys(sorted(run.name for run in folder.glob("*=*") if run.is_dir()))
    return tuple(names)


def _record(experiment: Path, split: int, arm: str, point: str) -> RunRecord:
    folder = arm_folder(experiment, split, arm)
    run = folder / point if point else folder
    choice = read_choice(folder)
    failure = read_failure(run)
    epochs, _ = read_epochs(run)
    seconds = sum(finite(dig(epoch, "seconds")) or 0.0 for epoch in epochs)
    best = _best(epochs)
    return RunRecord(
        split=split,
        arm=arm,
        point=point,
        chosen=choice is not None and choice.point == point,
        state="failed" if failure else _state(run, epochs),
        error=failure.error if failure else "",
        n_epochs=len(epochs),
        best_epoch=best[1] if best else None,
        best_dice=best[0] if best else None,
        seconds=seconds,
        waited=_waited(epochs, seconds),
        machine=_machine(run),
    )


def _state(run: Path, epochs: list[Record]) -> State:
    if all((run / "evaluation" / part).is_dir() for part in PARTS):
        return "done"
    return "begun" if epochs else "not run yet"


def _best(epochs: list[Record]) -> tuple[float, int] | None:
    """Validation Dice and epoch of the checkpoint that training keeps as the best."""
    known = [
        (dice, -int(epoch["epoch"]))
        for epoch in epochs
        if (dice := finite(dig(epoch, "validation", "dice"))) is not None
    ]
    if not known:
        return None
    dice, epoch = max(known)
    return dice, -epoch


def _waited(epochs: list[Record], seconds: float) -> float | None:
    known = [w for epoch in epochs if (w := finite(dig(epoch, "waited"))) is not None]
    return sum(known) / seconds if known and seconds else None


def _machine(run: Path) -> Mapping[str, object]:
    found = read_environment(run).get("machine")
    return found if isinstance(found, dict) else {}


def runs_told(runs: tuple[RunRecord, ...]) -> str:
    """How many runs are done, and which are not."""
    states = Counter(run.state for run in runs)
    are = "is" if states["done"] == 1 else "are"
    told = [f"Of {count(len(runs), 'run')}, {states['done']} {are} done"]
    for state in ("failed", "begun", "not run yet"):
        names = [run_title(run) for run in runs if run.state == state]
        if names:
            told.append(f"{states[state]} {state} ({listed(names, at_most=6)})")
    return "; ".join(told) + "."


def run_title(run: RunRecord) -> str:
    """A run as people call it: splits count from 1."""
    point = f", {run.point}" if run.point else ""
    return f"{arm_title(run.arm).lower()}{point} on split {run.split + 1}"


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
