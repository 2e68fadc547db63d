"""Deterministic UIDs, derived from the content that they name: equal objects have equal UIDs.

    derived_uid("segmentation", *source_uids, *model_hashes)

They are UUIDs in DICOM's form, `2.25.` and a number (PS3.5 B.2), of SHA-256 as RFC 9562 has them in
version 8.
"""

from __future__ import annotations

import hashlib
import json

_BYTES = 16
_VERSION = 8


def derived_uid(*parts: object) -> str:
    """Derive a UID from some parts: the same UID for the same parts in the same order.

    Args:
        parts: Text, numbers, None, or lists of these.

    Example:
        >>> derived_uid("series", 1) == derived_uid("series", 1)
        True
        >>> derived_uid("series", 1) == derived_uid("series1")
        False
    """
    digest = bytearray(hashlib.sha256(canonical_json(parts).encode()).digest()[:_BYTES])
    digest[6] = (digest[6] & 0x0F) | (_VERSION << 4)
    digest[8] = (digest[8] & 0x3F) | 0x80
    return f"2.25.{int.from_bytes(digest, 'big')}"


def canonical_json(record: object) -> str:
    """Serialise a record as canonical JSON, the same on every machine."""
    return json.dumps(record, sort_keys=True, separators=(",", ":"), default=str)
