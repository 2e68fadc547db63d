"""What a tracker is, and what it is told of a run. Knows none of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from plgg.io.run import Record

Ended = Literal["FINISHED", "FAILED", "KILLED"]
"""How a run was left: to its end, by an error, or by the user."""


@dataclass(frozen=True)
class Followed:
    """A run that is tracked.

    Attributes:
        run: Its folder.
        name: For people.
        arm: Its arm in the experiment.
        group: Name of the experiment; empty without one.
        mlflow_uri: Where MLflow keeps its runs.
    """

    run: Path
    name: str
    arm: str
    group: str = ""
    mlflow_uri: str = ""


class Tracker(Protocol):
    """Someone who keeps curves. Any error may come out of it; `plgg.track.follow` is on guard."""

    def bring(self, records: Sequence[Record]) -> None:
        """Add the epochs, lines of `metrics.jsonl`, that are not there yet."""

    def close(self, ended: Ended) -> None:
        """Let go."""
