"""Every run of an experiment as a row: whether it is done, how long it took, where."""

from __future__ import annotations

from collections.abc import Sequence

from plgg.report.lookup import finite
from plgg.report.numbers import UNDEFINED, count, duration, number
from plgg.report.palette import arm_title
from plgg.report.run_records import RunRecord
from plgg.report.tables import Table

_HEADER = ("Split", "Arm", "Point", "State", "Epochs", "Best at", "Time", "Waited", "Machine")
_POINT = _HEADER.index("Point")
_WORDS = {"Arm", "Point", "State", "Machine"}


def runs_table(runs: Sequence[RunRecord]) -> Table:
    """Runs by split and arm, with all points of a grid; those that are not there are named."""
    shown = [n for n in range(len(_HEADER)) if n != _POINT or any(run.point for run in runs)]
    return Table(
        tuple(_HEADER[n] for n in shown),
        tuple(tuple(_cells(run)[n] for n in shown) for run in runs),
        words=frozenset(place for place, n in enumerate(shown) if _HEADER[n] in _WORDS),
    )


def _cells(run: RunRecord) -> tuple[str, ...]:
    best = UNDEFINED if run.best_epoch is None else f"{run.best_epoch} ({number(run.best_dice)})"
    return (
        str(run.split + 1),
        arm_title(run.arm),
        f"{run.point} (chosen)" if run.chosen else run.point,
        f"failed: {run.error}" if run.state == "failed" else run.state,
        str(run.n_epochs),
        best,
        duration(run.seconds) if run.n_epochs else UNDEFINED,
        UNDEFINED if run.waited is None else f"{100 * run.waited:.1f} %",
        _machine(run),
    )


def _machine(run: RunRecord) -> str:
    """The card where there is one, else the processor with its cores."""
    card = next((str(run.machine[k]) for k in ("gpu", "device") if run.machine.get(k)), "")
    if card:
        return card
    processor, cores = run.machine.get("processor"), finite(run.machine.get("cores"))
    parts = [str(processor)] if processor else []
    parts += [count(int(cores), "core")] if cores else []
    return ", ".join(parts) or UNDEFINED
