"""Progress on a terminal: a bar for countable jobs, losses and time left for training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from plgg import watch
from plgg.cli.show import plain_console
from plgg.errors import visible


class Bars:
    """A `plgg.watch.Watch` that draws on standard error.

    Args:
        quiet: Draw nothing, say nothing.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.console = plain_console(err=True, quiet=quiet)

    def _progress(self) -> Progress:
        return Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=self.console,
        )

    @contextmanager
    def task(self, label: str) -> Iterator[watch.Progress]:
        """A bar that counts items."""
        with self._progress() as progress:
            bar = progress.add_task(visible(label), total=None, note="")

            def update(done: int, total: int, failed: int = 0) -> None:
                note = f"[red]{failed} failed" if failed else ""
                progress.update(bar, completed=done, total=total, note=note)

            yield update

    @contextmanager
    def training(self, label: str) -> Iterator[watch.Listener]:
        """A bar that counts steps and shows losses and the latest validation."""
        with self._progress() as progress:
            bar = progress.add_task(visible(f"training {label}"), total=None, note="")
            yield _TrainingBar(progress, bar)

    def say(self, message: str) -> None:
        """A line of its own."""
        self.console.print(visible(message))


class _TrainingBar:
    def __init__(self, progress: Progress, bar: TaskID) -> None:
        self.progress, self.bar = progress, bar
        self.validation = ""

    def __call__(self, event: watch.Step | watch.EpochEnd) -> None:
        if isinstance(event, watch.Step):
            done = (event.epoch - 1) * event.steps + event.step
            losses = " ".join(f"{name} {value:.3f}" for name, value in event.losses.items())
            note = f"epoch {event.epoch}/{event.epochs} {losses}{self.validation}"
            self.progress.update(
                self.bar, completed=done, total=event.epochs * event.steps, note=note
            )
        elif scores := event.record.get("validation"):
            shown = {"dice": "val. Dice", "marker_auc": "AUC"}
            found = [f"{shown[k]} {scores[k]:.3f}" for k in shown if scores.get(k) is not None]
            self.validation = " | " + ", ".join(found)
            if scores.get("marker_collapsed"):
                self.validation += " [red]marker head collapsed[/red]"
