"""Experiment trackers for a training run, chosen by name; their errors do not stop it."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from plgg.core.errors import ConfigError
from plgg.core.progress import EpochEnd, Listener, Step
from plgg.data.run_folder import read_metrics
from plgg.train.tracking.base import Ended, TrackedRun, Tracker
from plgg.train.tracking.mlflow import Mlflow, mlflow_uri, require_mlflow
from plgg.train.tracking.tensorboard import TensorBoard, require_tensorboard

TRACKERS: dict[str, tuple[Callable[[], None], Callable[[TrackedRun], Tracker]]] = {
    "tensorboard": (require_tensorboard, TensorBoard),
    "mlflow": (require_mlflow, Mlflow),
}


@dataclass(frozen=True)
class Tracking:
    """The chosen trackers; can be pickled for other processes.

    Attributes:
        names: Keys of `TRACKERS`.
        group: Name of the experiment that the runs belong to; empty without one.
        mlflow_uri: Where MLflow keeps its runs. May hold a password: not to be written anywhere.
    """

    names: tuple[str, ...] = ()
    group: str = ""
    mlflow_uri: str = ""


def choose_trackers(wanted: Sequence[str], *, group: str = "") -> Tracking:
    """Choose trackers by name; a text may hold several names, separated by commas.

    Raises:
        ConfigError: If there is no such tracker, or its package is not installed.
    """
    parts = (part.strip() for text in wanted for part in text.split(","))
    names = tuple(dict.fromkeys(part for part in parts if part))
    for name in names:
        if name not in TRACKERS:
            raise ConfigError(
                f"no tracker is called {name!r}", remedy=f"Choose of {', '.join(TRACKERS)}."
            )
        require, _ = TRACKERS[name]
        require()
    return Tracking(names, group, mlflow_uri() if "mlflow" in names else "")


log = logging.getLogger(__name__)
# A tracker that failed is paused for so long, or for this many times the time of the failure.
_PAUSE_SECONDS = 60.0
_PAUSE_FACTOR = 10.0


@contextmanager
def tracked(
    run: Path, tracking: Tracking, listener: Listener, *, name: str, arm: str
) -> Iterator[Listener]:
    """A listener for training that calls `listener` and then the trackers.

    At the end the trackers get the epochs that they lack, even if the run had nothing left to do.

    Args:
        run: The run folder.
        tracking: The trackers.
        listener: Called first.
        name: Name of the run to show.
        arm: Its arm in the experiment.
    """
    tracked_run = TrackedRun(run, name, arm, tracking.group, tracking.mlflow_uri)
    guards = [_GuardedTracker(key, TRACKERS[key][1](tracked_run), run) for key in tracking.names]
    has_begun = False

    def listen(event: Step | EpochEnd) -> None:
        nonlocal has_begun
        listener(event)
        has_begun = True
        if isinstance(event, EpochEnd):
            for guard in guards:
                guard.log()

    ended: Ended = "FAILED"
    try:
        yield listen
        ended = "FINISHED"
    except KeyboardInterrupt:
        ended = "KILLED"
        raise
    finally:
        # The folder of a run that was refused holds another run.
        if has_begun or ended == "FINISHED":
            for guard in guards:
                guard.close(ended)


class _GuardedTracker:
    """A tracker whose errors are caught and logged once, and delay the training little."""

    def __init__(self, name: str, tracker: Tracker, run: Path) -> None:
        self.name, self.tracker, self.run = name, tracker, run
        self.broken = self.warned = False
        self.pause_until = 0.0

    def log(self) -> None:
        """Log all epochs so far, unless it failed a short time ago."""
        if time.monotonic() >= self.pause_until:
            self._try(lambda: self.tracker.log(read_metrics(self.run)))

    def close(self, ended: Ended) -> None:
        """Log a last time and close; a broken tracker is tried again only if the run finished."""
        if not self.broken or ended == "FINISHED":
            self._try(lambda: self.tracker.log(read_metrics(self.run)))
        if not self.broken:
            self._try(lambda: self.tracker.close(ended))

    def _try(self, act: Callable[[], None]) -> None:
        began = time.monotonic()
        try:
            act()
        except Exception as error:  # noqa: BLE001 - it must not take the training with it
            self._failed(error, time.monotonic() - began)
        else:
            self.broken = False

    def _failed(self, error: Exception, seconds: float) -> None:
        self.broken = True
        self.pause_until = time.monotonic() + max(_PAUSE_SECONDS, _PAUSE_FACTOR * seconds)
        if not self.warned:
            log.warning("%s fails (%s); training goes on without it", self.name, _line(error))
        self.warned = True


def _line(error: Exception) -> str:
    """The error as one line, without the password that a URI may hold."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return re.sub(r"//[^/@\s]*@", "//", text)[:300]
