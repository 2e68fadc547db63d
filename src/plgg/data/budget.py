"""Limits of one image, checked by its header: memory when unpacked, and field of view.

A file of 3 MB can unpack to many GiB, so every reader calls `require_affordable` first. The limit
is the setting `execution.scan_gib` (`--scan-gib`), which a command applies to the files that it
reads:

    with scan_limit(config.execution.scan_gib):
        scan = open_scan(path)
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plgg.config import ExecutionConfig
from plgg.core.errors import InputError

GIB = 2**30
DEFAULT_LIMIT_BYTES = round(ExecutionConfig().scan_gib * GIB)
"""2 GiB: as float32 an image of 1024×1024×512 voxels. A head of 0.5 mm voxels takes a quarter."""

_limit: ContextVar[int] = ContextVar("scan_limit_bytes", default=DEFAULT_LIMIT_BYTES)


def current_limit_bytes() -> int:
    """Current limit of the unpacked size of one image, in bytes."""
    return _limit.get()


@contextmanager
def scan_limit(gib: float | None) -> Iterator[None]:
    """Limit the unpacked size of images that this thread reads within the block.

    Args:
        gib: The most; None leaves the limit as it is.
    """
    token = _limit.set(current_limit_bytes() if gib is None else round(gib * GIB))
    try:
        yield
    finally:
        _limit.reset(token)


def require_affordable(
    shape: Sequence[int],
    itemsize: int,
    *,
    where: str | Path,
    limit_bytes: int | None = None,
) -> int:
    """Refuse an array that would take more memory than allowed, or that has an invalid shape.

    Args:
        shape: Elements along each axis, as a header declares it; of one axis, a count of bytes.
        itemsize: Bytes of one element once it is unpacked.
        where: For the message.
        limit_bytes: The most that is allowed; if None, what is in force.

    Returns:
        How many bytes it would take.

    Raises:
        InputError: If it would take more, or a side is below 0, or below 1 in an image.

    Example:
        >>> require_affordable((240, 240, 155), 4, where="scan.nii.gz")
        35712000
    """
    sides = [int(side) for side in shape]
    shown = "×".join(str(side) for side in sides)
    if min(sides, default=0) < (len(sides) != 1):
        raise InputError(
            f"its header declares an image of {shown or 'no'} voxels, so none at all",
            where=where,
            remedy="Export or convert it again.",
        )
    n_bytes = math.prod(sides) * int(itemsize)
    limit = current_limit_bytes() if limit_bytes is None else limit_bytes
    if n_bytes > limit:
        what = f"{shown} bytes" if len(sides) == 1 else f"an image of {shown} voxels"
        raise InputError(
            f"its header declares {what}: {_gib(n_bytes)} unpacked, and at most {_gib(limit)} are"
            " read",
            where=where,
            remedy=_allow_more(n_bytes),
        )
    return n_bytes


def require_affordable_file(n_bytes: int, where: str | Path) -> None:
    """Refuse one file that is larger than any scan may be once it is unpacked.

    Raises:
        InputError: If it is.
    """
    limit = current_limit_bytes()
    if n_bytes > limit:
        raise InputError(
            f"is a file of {_gib(n_bytes)}, and at most {_gib(limit)} are read",
            where=where,
            remedy=_allow_more(n_bytes),
        )


def _allow_more(n_bytes: int) -> str:
    return (
        "Crop or resample it, or, if it is meant to be so large, allow more:"
        f" --scan-gib {math.ceil(n_bytes / GIB)}."
    )


def _gib(n_bytes: int) -> str:
    gib = n_bytes / GIB
    return f"{gib:.3g} GiB" if gib < 1000 else f"{n_bytes // GIB} GiB"


MIN_SLICES = 8
"""Along any axis. Real scans have 20 and more; 8 of 10 mm would still be a head."""

MIN_EXTENT_MM = 60.0
"""Along any axis, from edge to edge. Clinical scans cover 115 mm and more, a newborn's head 80."""


def coverage_fault(
    shape: Sequence[int], spacing_mm: Sequence[float] | NDArray[np.float64]
) -> str | None:
    """Why a grid covers too little to be a scan of a head; None where it covers enough.

    Args:
        shape: Number of voxels along each axis.
        spacing_mm: Distance between voxel centres along each axis, in mm.

    Returns:
        One clause without a full stop, about the axis that is worst.

    Example:
        >>> coverage_fault((256, 256, 2), (0.9, 0.9, 5.0))
        'it covers 10 mm in 2 slices, too little of a head (at least 60 mm in 8 slices are needed)'
    """
    axes = [(n, n * float(step)) for n, step in zip(shape, spacing_mm, strict=True)]
    if all(n >= MIN_SLICES and extent >= MIN_EXTENT_MM for n, extent in axes):
        return None
    n, extent = min(axes, key=lambda axis: min(axis[0] / MIN_SLICES, axis[1] / MIN_EXTENT_MM))
    slices = "1 slice" if n == 1 else f"{n} slices"
    return (
        f"it covers {extent:.3g} mm in {slices}, too little of a head (at least"
        f" {MIN_EXTENT_MM:.0f} mm in {MIN_SLICES} slices are needed)"
    )
