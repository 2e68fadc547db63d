"""Numbered picture slices to a `Volume`: axial, seen from below, the first slice lowest.

The pictures carry no geometry. They show the patient's right at the left and the front at the
top, so columns run to the Left and rows to the Posterior. Knows nothing of patients.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from plgg.errors import InputError
from plgg.io.budget import require_affordable
from plgg.io.guard import refusing
from plgg.io.regular import open_regular, require_readable
from plgg.layouts.found import listed
from plgg.layouts.walk import visible
from plgg.volume import Volume

IN_PLANE_MM = 0.9375
"""240 mm over 256 pixels, the usual field of view."""
STACK_MM = 150.0
"""Height that the slices of one head are taken to cover."""
_SLICE = re.compile(r".*_(\d+)(_mask)?\.tiff?", re.IGNORECASE)


@dataclass(frozen=True)
class Slices:
    """Pictures of one scan by slice number, in rising order."""

    images: Mapping[int, Path]
    masks: Mapping[int, Path]

    def problem(self) -> str | None:
        """Why these are no whole scan; None if they are."""
        if not self.images:
            return "has no slices (*_1.tif)"
        expected = range(min(self.images), max(self.images) + 1)
        gaps = [number for number in expected if number not in self.images]
        if gaps:
            return f"lacks slice {listed(gaps)}"
        unlike = sorted(set(self.images) ^ set(self.masks)) if self.masks else []
        return (
            f"has a slice without its mask, or a mask alone: {listed(unlike)}" if unlike else None
        )


def list_slices(folder: Path) -> Slices:
    """Slices in a folder, by the number at the end of their names."""
    images: dict[int, Path] = {}
    masks: dict[int, Path] = {}
    for path in visible(folder):
        match = _SLICE.fullmatch(path.name)
        if match:
            (masks if match.group(2) else images)[int(match.group(1))] = path
    return Slices(dict(sorted(images.items())), dict(sorted(masks.items())))


def read_stack(slices: Mapping[int, Path], *, channel: int | None = None) -> Volume:
    """One channel of numbered slices as a volume of shape (columns, rows, slices), uint8.

    Args:
        slices: Pictures by number, in rising order.
        channel: Which channel, from 0; None for masks, which may be grey.

    Raises:
        InputError: If a slice cannot be read, is not 8-bit, or differs in size from the first.
    """
    planes: list[NDArray[Any]] = []
    for path in slices.values():
        planes.append(_plane(path, channel))
        if planes[-1].shape != planes[0].shape:
            raise InputError(
                "differs in size from the first slice", where=path, remedy="Copy it again."
            )
        require_affordable((*planes[0].shape, len(planes)), 1, where=path)
    return Volume(np.stack(planes, axis=-1), stack_affine(planes[0].shape, len(planes)))


def stack_affine(shape: tuple[int, ...], n_slices: int) -> NDArray[np.float64]:
    """Affine of a stack of slices of (columns, rows), about the middle of the field of view."""
    thickness = round(STACK_MM / n_slices, 2)
    affine = np.diag((-IN_PLANE_MM, -IN_PLANE_MM, thickness, 1.0))
    affine[:3, 3] = (shape[0] / 2 * IN_PLANE_MM, shape[1] / 2 * IN_PLANE_MM, -STACK_MM / 2)
    return affine


def _plane(path: Path, channel: int | None) -> NDArray[Any]:
    """One channel of a picture, shape (columns, rows); the first of a mask, which may be grey."""
    require_readable(path)
    with refusing(lambda: _unreadable(path)), warnings.catch_warnings():
        # A damaged tag may not matter; where it does, there is an error as well.
        warnings.simplefilter("ignore")
        with open_regular(path) as file, Image.open(file) as picture:
            require_affordable((*picture.size, len(picture.getbands())), 1, where=path)
            pixels = np.asarray(picture)
    if channel is None and pixels.ndim == 2:
        pixels = (pixels * np.uint8(255) if pixels.dtype == np.bool_ else pixels)[..., np.newaxis]
    wanted = channel or 0
    if pixels.ndim != 3 or pixels.shape[2] <= wanted or pixels.dtype != np.uint8:
        raise InputError(
            f"is no 8-bit picture with {wanted + 1} channels (shape {pixels.shape})",
            where=path,
            remedy="A slice holds three sequences: before contrast, FLAIR, after contrast.",
        )
    return pixels[..., wanted].T


def _unreadable(path: Path) -> InputError:
    return InputError("cannot be read as a picture", where=path, remedy="Copy it again.")
