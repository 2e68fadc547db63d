"""What a long job tells while it goes on, for whoever draws it: a bar, a log, nothing.

Jobs are handed a `Watch` and know nothing of terminals.
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
        """Tell."""


@dataclass(frozen=True)
class Step:
    """A training step was made.

    Attributes:
        epoch: Counted from 1.
        epochs: All of them.
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
    """An epoch was finished and saved; `record` is its line of metrics.jsonl."""

    record: dict[str, Any]


Listener = Callable[[Step | EpochEnd], None]
"""Called at every step and epoch of a training run."""


class Watch(Protocol):
    """Someone to be told."""

    def task(self, label: str) -> AbstractContextManager[Progress]:
        """Follow a job of countable items."""

    def training(self, label: str) -> AbstractContextManager[Listener]:
        """Follow a training run."""

    def say(self, message: str) -> None:
        """A sentence between jobs."""


class Silent:
    """A watch that draws nothing."""

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
    """Seconds of each step of a job, in their order; of all times that it was made."""

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
        """What steps took that another clock timed."""
        for name, spent in seconds.items():
            self.seconds[name] = round(self.seconds.get(name, 0.0) + spent, 3)
