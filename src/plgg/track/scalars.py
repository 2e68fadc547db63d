"""From lines of `metrics.jsonl` to named numbers and the moments they belong to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from plgg.io.run import Record


def scalars(record: Record) -> dict[str, float]:
    """The numbers of one epoch, named by their path, such as `validation/dice`.

    What is null was not measured and is left out; true and false are 1 and 0.
    """
    found = _flat({key: value for key, value in record.items() if key != "epoch"}, "")
    return {name: float(value) for name, value in found.items() if isinstance(value, int | float)}


def _flat(values: Mapping[str, Any], before: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{before}{key}"
        found |= _flat(value, f"{name}/") if isinstance(value, Mapping) else {name: value}
    return found


def moments(records: Sequence[Record], now: float) -> list[float]:
    """When each epoch ended, in seconds as `time.time()`, had they all been run without a pause.

    The last ended now. Lines do not say when they were written, only how long they took.
    """
    after = [float(record.get("seconds", 0.0)) for record in records[:0:-1]]
    return [now - later for later in accumulate(after, initial=0.0)][: len(records)][::-1]
