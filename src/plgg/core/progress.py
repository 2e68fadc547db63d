"""Progress of long jobs, for any display: a bar, a log, or none.

Jobs report to a `Watch` and do not depend on a terminal.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol


class Progress(Protocol):
    """Called after each item with how many are done, of how many, and how many failed."""

    def __call__(self, done: int, total: int, failed: int = 0) -> None:
        """Report progress."""


@dataclass(frozen=True)
class Step:
    """Event after a training step.

    Attributes:
        epoch: Counted from 1.
        epochs: Number of epochs.
        step: Counted from 1 within the epoch.
        steps: Steps of an epoch.
        losses: Mean of each term over the epoch so far.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    losses: dict[str, float]


@dataclass(frozen=True)
class EpochEnd:
    """Event after an epoch was finished and saved; `record` is its line of metrics.jsonl."""

    record: dict[str, Any]


Listener = Callable[[Step | EpochEnd], None]
"""Called at every step and epoch of a training run."""


class Watch(Protocol):
    """Receiver of the progress of jobs."""

    def task(self, label: str) -> AbstractContextManager[Progress]:
        """Follow a job of countable items."""

    def training(self, label: str) -> AbstractContextManager[Listener]:
        """Follow a training run."""

    def say(self, message: str) -> None:
        """Show a sentence between jobs."""


class Silent:
    """A watch that shows nothing."""

    @contextmanager
    def task(self, label: str) -> Iterator[Progress]:  # noqa: ARG002
        """Follow nothing."""
        yield lambda done, total, failed=0: None  # noqa: ARG005

    @contextmanager
    def training(self, label: str) -> Iterator[Listener]:  # noqa: ARG002
        """Follow nothing."""
        yield lambda event: None  # noqa: ARG005

    def say(self, message: str) -> None:
        """Say nothing."""


@dataclass
class Clock:
    """Timer of the steps of a job: total seconds of each, in order of their first use."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a step, also one that fails."""
        began = time.perf_counter()
        try:
            yield
        finally:
            spent = self.seconds.get(name, 0.0) + time.perf_counter() - began
            self.seconds[name] = round(spent, 3)

    def add(self, seconds: Mapping[str, float]) -> None:
        """Add the seconds of steps that another clock measured."""
        for name, spent in seconds.items():
            self.seconds[name] = round(self.seconds.get(name, 0.0) + spent, 3)
