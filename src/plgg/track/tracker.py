"""What a tracker is: something that is brought level with a run's `metrics.jsonl`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

Record = Mapping[str, Any]


class Tracker(Protocol):
    """Shows one run."""

    def level(self) -> None:
        """Show every epoch of `metrics.jsonl` that is not shown yet, and none that is not in it."""

    def close(self, *, finished: bool) -> None:
        """Show no more; `finished` if the run came to its end."""


def scalars(record: Record, prefix: str = "") -> Iterator[tuple[str, float]]:
    """The numbers of an epoch by name, such as `validation/dice`; what is unknown is left out."""
    for name, value in record.items():
        if isinstance(value, Mapping):
            yield from scalars(value, f"{prefix}{name}/")
        elif isinstance(value, bool | int | float) and f"{prefix}{name}" != "epoch":
            yield f"{prefix}{name}", float(value)
