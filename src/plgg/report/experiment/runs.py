"""Every job of an experiment: its state, time and machine; the points of its grid.

A run is one arm on one split, or one point of its grid there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Literal

from plgg.core.errors import PlggError
from plgg.data.experiment_folder import arm_folder, read_choice, read_failure
from plgg.data.run_folder import read_environment
from plgg.evaluate.evaluation import read_evaluation
from plgg.evaluate.experiment_records import (
    PARTS,
    Experiment,
    Record,
    finite,
    nested,
    read_epochs,
)
from plgg.report.numbers import UNDEFINED, count, duration, listed, number
from plgg.report.parts import arm_title
from plgg.report.table import Column, Table, table_of

State = Literal["done", "failed", "begun", "not run yet"]


@dataclass(frozen=True)
class RunRecord:
    """State, scores and machine of one run.

    Attributes:
        split: Number of the split.
        arm: Name of the arm.
        point: Point of the grid; blank without one.
        chosen: Whether that point was chosen on this split.
        state: `done`, `failed`, `begun` or `not run yet`.
        error: Why it failed, in one line; blank where it did not.
        n_epochs: Epochs so far.
        best_epoch: That of the best validation Dice, the first of equals; None before any.
        best_dice: That Dice.
        seconds: Time of all epochs.
        waited: Share of that time spent waiting for data; None where that is not recorded.
        machine: What it ran on; empty where unknown.
        dice: Mean validation Dice, that by which points are chosen; None where it is not there.
        auc: Marker AUC on validation; None likewise.
        seed: Number of the seed, from 0.
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
    dice: float | None = None
    auc: float | None = None
    seed: int = 0

    @property
    def values(self) -> dict[str, str]:
        """The settings of its point by their keys, as text."""
        parts = (part.partition("=") for part in self.point.split(",") if "=" in part)
        return {key: value for key, _, value in parts}


def run_records(experiment: Experiment) -> tuple[RunRecord, ...]:
    """Read the records of all runs, by split, seed, arm and point.

    A grid point that exists on one split is expected on every split, and is listed as not run where
    it is missing.
    """
    points = {arm: _points(experiment, arm) for arm in experiment.arms}
    return tuple(
        _record(experiment.folder, split, arm, point, seed)
        for split in range(experiment.n_splits)
        for seed in range(experiment.n_seeds)
        for arm in experiment.arms
        for point in points[arm] or ("",)
    )


def _points(experiment: Experiment, arm: str) -> tuple[str, ...]:
    """The grid points of an arm on any split, including failed ones, which may have no run."""
    names: dict[str, None] = {}
    for split, seed in product(range(experiment.n_splits), range(experiment.n_seeds)):
        folder = arm_folder(experiment.folder, split, arm, seed)
        choice = read_choice(folder)
        names |= dict.fromkeys(choice.scores if choice else ())
        names |= dict.fromkeys(sorted(run.name for run in folder.glob("*=*") if run.is_dir()))
    return tuple(names)


def _record(experiment: Path, split: int, arm: str, point: str, seed: int) -> RunRecord:
    folder = arm_folder(experiment, split, arm, seed)
    run = folder / point if point else folder
    choice = read_choice(folder)
    failure = read_failure(run)
    epochs, _ = read_epochs(run)
    seconds = sum(finite(nested(epoch, "seconds")) or 0.0 for epoch in epochs)
    best = _best(epochs)
    dice, auc = _validation(run) if point else (None, None)
    if choice is not None and choice.scores.get(point) is not None:
        dice = choice.scores[point]
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
        dice=dice,
        auc=auc,
        seed=seed,
    )


def _state(run: Path, epochs: list[Record]) -> State:
    if all((run / "evaluation" / part).is_dir() for part in PARTS):
        return "done"
    return "begun" if epochs else "not run yet"


def _best(epochs: list[Record]) -> tuple[float, int] | None:
    """Validation Dice and epoch of the checkpoint that training keeps as the best."""
    scored = [
        (dice, -int(epoch["epoch"]))
        for epoch in epochs
        if (dice := finite(nested(epoch, "validation", "dice"))) is not None
    ]
    if not scored:
        return None
    dice, epoch = max(scored)
    return dice, -epoch


def _waited(epochs: list[Record], seconds: float) -> float | None:
    shares = [w for epoch in epochs if (w := finite(nested(epoch, "waited"))) is not None]
    return sum(shares) / seconds if shares and seconds else None


def _machine(run: Path) -> Mapping[str, object]:
    found = read_environment(run).get("machine")
    return found if isinstance(found, dict) else {}


def runs_sentence(runs: tuple[RunRecord, ...]) -> str:
    """How many runs are done, and which are not."""
    states = Counter(run.state for run in runs)
    are = "is" if states["done"] == 1 else "are"
    clauses = [f"Of {count(len(runs), 'run')}, {states['done']} {are} done"]
    for state in ("failed", "begun", "not run yet"):
        names = [run_title(run) for run in runs if run.state == state]
        if names:
            clauses.append(f"{states[state]} {state} ({listed(names, at_most=6)})")
    return "; ".join(clauses) + "."


def run_title(run: RunRecord) -> str:
    """Title of a run, with splits counted from 1."""
    point = f", {run.point}" if run.point else ""
    seed = f", seed {run.seed + 1}" if run.seed else ""
    return f"{arm_title(run.arm).lower()}{point} on split {run.split + 1}{seed}"


def grid_points(experiment: Experiment) -> tuple[RunRecord, ...]:
    """Every point of a grid that is evaluated, split by split; empty without a grid."""
    records = run_records(experiment)
    return tuple(r for r in records if r.point and (r.dice is not None or r.auc is not None))


def _validation(run: Path) -> tuple[float | None, float | None]:
    """Dice and AUC of the validation part; None where there is none."""
    try:
        summary = read_evaluation(run / "evaluation" / "validation").summary
    except PlggError:
        return None, None
    return summary.segmentation["dice"].mean, summary.marker.auc.value if summary.marker else None


def searched(points: Sequence[RunRecord]) -> tuple[str, ...]:
    """The settings that the points differ in."""
    return tuple(dict.fromkeys(key for point in points for key in point.values))


def levels(points: Sequence[RunRecord], key: str) -> tuple[str, ...]:
    """The values of a setting, numbers in their order, words as they come."""
    values = list(dict.fromkeys(point.values[key] for point in points if key in point.values))
    try:
        return tuple(sorted(values, key=float))
    except ValueError:
        return tuple(values)


def winners(points: Sequence[RunRecord], key: str) -> dict[str, list[int]]:
    """The splits that chose each value of a setting, for the values that any chose."""
    return {
        value: splits
        for value in levels(points, key)
        if (splits := sorted({p.split for p in points if _chose(p, key, value)}))
    }


def _chose(point: RunRecord, key: str, value: str) -> bool:
    return point.chosen and point.values.get(key) == value


_RUN_COLUMNS: tuple[Column[RunRecord], ...] = (
    Column("Split", lambda run: str(run.split + 1)),
    Column("Arm", lambda run: arm_title(run.arm), is_words=True),
    Column(
        "Point", lambda run: f"{run.point} (chosen)" if run.chosen else run.point, is_words=True
    ),
    Column(
        "State",
        lambda run: f"failed: {run.error}" if run.state == "failed" else run.state,
        is_words=True,
    ),
    Column("Epochs", lambda run: str(run.n_epochs)),
    Column("Best at", lambda run: _best_at(run)),
    Column("Time", lambda run: duration(run.seconds if run.n_epochs else None)),
    Column("Waited", lambda run: UNDEFINED if run.waited is None else f"{100 * run.waited:.1f} %"),
    Column("Machine", lambda run: _card_or_processor(run.machine), is_words=True),
)


def runs_table(runs: Sequence[RunRecord]) -> Table:
    """Runs by split and arm, with all points of a grid; those that are not there are named."""
    if not any(run.seed for run in runs):
        return table_of(runs, _RUN_COLUMNS)
    first, *others = _RUN_COLUMNS
    # Counted from 1, as splits are.
    return table_of(runs, (first, Column("Seed", lambda run: str(run.seed + 1)), *others))


def _best_at(run: RunRecord) -> str:
    return UNDEFINED if run.best_epoch is None else f"{run.best_epoch} ({number(run.best_dice)})"


def named_of(machine: Mapping[str, object], *keys: str) -> list[str]:
    """The values of these keys in a machine's record; missing ones are left out."""
    return [str(machine[key]) for key in keys if machine.get(key)]


def cores_of(machine: Mapping[str, object]) -> list[str]:
    """How many cores it has, where that is known."""
    cores = finite(machine.get("cores"))
    return [count(int(cores), "core")] if cores else []


def _card_or_processor(machine: Mapping[str, object]) -> str:
    """The GPU if there is one, else the processor with its cores."""
    cards = named_of(machine, "gpu", "device")[:1]
    return ", ".join(cards or [*named_of(machine, "processor"), *cores_of(machine)]) or UNDEFINED
