"""A record's own SHA-256, so that a flipped bit on a disk is told and not read as another number.

It guards against accidents, not against an attacker, who can seal anew.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

SEAL = "seal"


def sealed(record: dict[str, Any]) -> dict[str, Any]:
    """A record of JSON with its SHA-256 added under `seal`.

    >>> unsealed(sealed({"spacing_mm": 2.0}))
    {'spacing_mm': 2.0}
    """
    return {**record, SEAL: _digest(record)}


def unsealed(record: Any) -> Any:  # noqa: ANN401 - JSON is any
    """The record without its seal; one that has none is taken as it is.

    Raises:
        ValueError: If it is not what was sealed.
    """
    if not isinstance(record, dict) or SEAL not in record:
        return record
    bare = {key: value for key, value in record.items() if key != SEAL}
    if record[SEAL] != _digest(bare):
        raise ValueError("was altered since it was written (SHA-256)")
    return bare


def _digest(record: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
