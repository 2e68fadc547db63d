"""A training run followed by trackers besides whoever else is told. A tracker never stops a run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from plgg.errors import ConfigError
from plgg.track import mlflow, tensorboard
from plgg.track.tracker import Tracker
from plgg.watch import EpochEnd, Listener, Step

log = logging.getLogger(__name__)

TRACKERS: dict[str, tuple[Callable[[], None], Callable[[Path], Tracker]]] = {
    "tensorboard": (tensorboard.require, tensorboard.TensorBoard),
    "mlflow": (mlflow.require, mlflow.MLflow),
}


def require_trackers(names: Sequence[str]) -> None:
    """Check that trackers are known and installed.

    Raises:
        ConfigError: If one is not.
    """
    for name in names:
        if name not in TRACKERS:
            raise ConfigError(
                f"no tracker is called {name!r}", remedy=f"Choose {' or '.join(TRACKERS)}."
            )
        TRACKERS[name][0]()


@contextmanager
def tracked(names: Sequence[str], run: Path, listener: Listener) -> Iterator[Listener]:
    """Follow a training run.

    Args:
        names: Of trackers.
        run: The run folder; it need not be there yet.
        listener: Told as without trackers.
    """
    followers = [_Follower(name, run) for name in names]

    def tell(event: Step | EpochEnd) -> None:
        listener(event)
        if isinstance(event, EpochEnd):
            for follower in followers:
                follower.level()

    finished = False
    try:
        yield tell
        finished = True
    finally:
        for follower in followers:
            follower.close(finished=finished)


class _Follower:
    """A tracker that is begun at the first epoch, and given up at its first failure."""

    def __init__(self, name: str, run: Path) -> None:
        self.name, self.run = name, run
        self._tracker: Tracker | None = None
        self._lost = False

    def level(self) -> None:
        self._guarded(self._level)

    def close(self, *, finished: bool) -> None:
        # Of a run that was finished before, or failed before its first epoch.
        if self._tracker is None and not (self.run / "metrics.jsonl").is_file():
            return
        self._guarded(lambda: self._close(finished=finished))

    def _level(self) -> None:
        if self._tracker is None:
            self._tracker = TRACKERS[self.name][1](self.run)
        self._tracker.level()

    def _close(self, *, finished: bool) -> None:
        self._level()
        if self._tracker is not None:
            self._tracker.close(finished=finished)

    def _guarded(self, act: Callable[[], None]) -> None:
        if self._lost:
            return
        try:
            act()
        except Exception as error:  # noqa: BLE001 - whatever a server says must not stop a training
            self._lost = True
            line = " ".join(str(error).split())[:300]
            log.warning(
                "%s follows no more (%s); the training goes on and metrics.jsonl holds all of it",
                self.name,
                line,
            )
