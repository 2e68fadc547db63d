"""Looking things up in records of JSON that may be half empty. Knows nothing of what they hold."""

from __future__ import annotations

import math
from typing import Any

from plgg.evaluate import Evaluation

Record = dict[str, Any]


def dig(record: object, *keys: str) -> Any:  # noqa: ANN401 - JSON is any
    """What lies under a path of keys; None where the path ends early."""
    for key in keys:
        if not isinstance(record, dict):
            return None
        record = record.get(key)
    return record


def finite(value: object) -> float | None:
    """A finite number; None for all else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def summary_value(evaluation: Evaluation, *keys: str) -> float | None:
    """A number of `summary.json` by the keys that lead to it; None where it is undefined."""
    return finite(dig(evaluation.summary_json(), *keys))
