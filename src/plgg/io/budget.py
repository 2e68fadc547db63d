"""What an image may cost in memory, judged by its header before anything is unpacked or decoded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from plgg.errors import InputError

DEFAULT_LIMIT_BYTES = 2 * 2**30
"""2 GiB: as float32 an image of 1024×1024×512 voxels. A head of 0.5 mm voxels takes a quarter."""


def require_affordable(
    shape: Sequence[int],
    itemsize: int,
    *,
    where: str | Path,
    limit_bytes: int = DEFAULT_LIMIT_BYTES,
) -> None:
    """Refuse an array that would take more memory than allowed.

    Args:
        shape: Number of elements along each axis, as a header declares it.
        itemsize: Bytes of one element once it is unpacked.
        where: For the message.
        limit_bytes: The most that is allowed.

    Raises:
        InputError: If it would take more.
    """
    n_bytes = math.prod(int(n) for n in shape) * itemsize
    if n_bytes <= limit_bytes:
        return
    sizes = "×".join(str(int(n)) for n in shape)
    what = f"{sizes} bytes" if len(shape) == 1 else f"an image of {sizes} voxels"
    raise InputError(
        f"its header declares {what}: {_gib(n_bytes)} unpacked, and at most"
        f" {_gib(limit_bytes)} are read",
        where=where,
        remedy="Check that it is one scan of one head, or crop or resample it first.",
    )


def _gib(n_bytes: int) -> str:
    return f"{n_bytes / 2**30:.3g} GiB"
