"""Every run that an experiment asks for: what became of it, how long it took, and where.

A run is one arm on one split, or one point of its grid there. Knows nothing of tables.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from plgg.io.experiment import arm_folder, read_choice, read_failure
from plgg.io.run import read_environment
from plgg.report.experiment_records import PARTS, Experiment, read_epochs
from plgg.report.lookup import Record, dig, finite
from plgg.report.numbers import count, listed
from plgg.report.palette import arm_title

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
