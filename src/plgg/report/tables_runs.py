"""Every run of an experiment as a row: whether it is done, how long it took, where."""

from __future__ import annotations

from pathlib import Path

from plgg.io.experiment import arm_folder, points_of, read_choice, read_failure
from plgg.io.files import read_json
from plgg.io.run import read_metrics
from plgg.report.experiment_records import Experiment
from plgg.report.lookup import Record, dig, finite
from plgg.report.numbers import UNDEFINED, duration, number
from plgg.report.palette import arm_title
from plgg.report.tables import Table

_HEADER = ("Split", "Arm", "Point", "State", "Epochs", "Best at", "Time", "Waited", "Machine")


def runs_table(experiment: Experiment) -> Table:
    """Runs by split and arm, with all points of a grid; those that are not there are named."""
    rows = []
    for split in range(experiment.n_splits):
        for arm in experiment.arms:
            folder = arm_folder(experiment.folder, split, arm)
            choice = read_choice(folder)
            points = points_of(experiment.folder, split, arm) or {"": folder}
            for name, run in points.items():
                chosen = choice is not None and choice.point == name
                point = f"{name} (chosen)" if chosen else name
                rows.append((str(split + 1), arm_title(arm), point, *_cells(run)))
    shown = [n for n in range(len(_HEADER)) if n != 2 or any(row[2] for row in rows)]
    return Table(
        tuple(_HEADER[n] for n in shown),
        tuple(tuple(row[n] for n in shown) for row in rows),
        words=frozenset(n for n, name in enumerate(shown) if name in {1, 2, 3, 8}),
    )


def _cells(run: Path) -> tuple[str, ...]:
    epochs = read_metrics(run)
    seconds = sum(finite(epoch.get("seconds")) or 0.0 for epoch in epochs)
    waited = [w for epoch in epochs if (w := finite(epoch.get("waited"))) is not None]
    share = f"{100 * sum(waited) / seconds:.1f} %" if waited and seconds else UNDEFINED
    return (
        _state(run, epochs),
        str(len(epochs)),
        _best(epochs),
        duration(seconds) if epochs else UNDEFINED,
        share,
        _machine(run),
    )


def _state(run: Path, epochs: list[Record]) -> str:
    failure = read_failure(run)
    if failure is not None:
        return f"failed: {failure.error}"
    if (run / "evaluation" / "test").is_dir():
        return "done"
    return "begun" if epochs else "not run yet"


def _best(epochs: list[Record]) -> str:
    """The epoch of the best validation Dice, the first of equals, as training keeps it."""
    known = [
        (dice, -int(epoch["epoch"]))
        for epoch in epochs
        if (dice := finite(dig(epoch, "validation", "dice"))) is not None
    ]
    if not known:
        return UNDEFINED
    dice, epoch = max(known)
    return f"{-epoch} ({number(dice)})"


def _machine(run: Path) -> str:
    try:
        found = read_json(run / "environment.json").get("machine", {})
    except (OSError, ValueError, AttributeError):
        return UNDEFINED
    parts = [str(found[key]) for key in ("gpu", "device", "processor") if found.get(key)]
    return parts[0] if parts else UNDEFINED
