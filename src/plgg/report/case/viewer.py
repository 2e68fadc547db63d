"""What the page's viewer draws from: the volume as images, and how they lie.

Axial slices lie side by side, row by row.
"""

from __future__ import annotations

import base64
import io
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from plgg.report.case.view import AXES, Shown, edges

_QUALITY = 82
# Steps of the maps: 32 levels are more than the eye tells apart in an overlay.
_STEP = 8


def columns(shape: tuple[int, ...]) -> int:
    """How many slices lie in a row, so that the image is about square."""
    x, y, z = shape
    return max(1, min(z, math.ceil(math.sqrt(z * y / x))))


def mosaic(volume: NDArray[Any]) -> NDArray[Any]:
    """The slices `[:, :, z].T` of an array of shape (X, Y, Z), side by side; blanks at the end."""
    x, y, z = volume.shape
    across = columns(volume.shape)
    down = math.ceil(z / across)
    slices = np.zeros((down * across, y, x), volume.dtype)
    slices[:z] = volume.transpose(2, 1, 0)
    grid = slices.reshape(down, across, y, x).swapaxes(1, 2)
    return grid.reshape(down * y, across * x)


def grey_image(pixels: NDArray[np.uint8]) -> str:
    """Greys as a data URI of a WebP; small, errors of a few greys."""
    raw = io.BytesIO()
    Image.fromarray(pixels).save(raw, format="webp", quality=_QUALITY, method=2)
    return uri("webp", raw.getvalue())


def map_image(pixels: NDArray[np.uint8]) -> str:
    """A map as a data URI of a PNG, exact to half a step; 0 and 255 stay."""
    steps = np.minimum(np.rint(pixels / _STEP) * _STEP, 255)
    return _png(Image.fromarray(steps.astype(np.uint8)))


def mask_image(pixels: NDArray[np.bool_]) -> str:
    """A mask as a data URI of a PNG, exact."""
    return _png(
        Image.fromarray(pixels.astype(np.uint8) * 255).convert("1", dither=Image.Dither.NONE)
    )


def _png(image: Image.Image) -> str:
    raw = io.BytesIO()
    image.save(raw, format="png", compress_level=6)
    return uri("png", raw.getvalue())


def uri(kind: str, data: bytes) -> str:
    """Bytes of an image as an address that holds them."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def viewer_data(shown: Shown) -> dict[str, Any]:
    """All that the script needs.

    Returns:
        `shape`, `spacing` (mm), `start` (voxel to look at first), `across` (slices in a row of the
        images), `images` by name, `letters` (left, right, top, bottom) by plane, and `index`: the
        file's voxel index of every slice along each axis.
    """
    images = {
        "grey": grey_image(mosaic(shown.grey)),
        "mask": mask_image(mosaic(shown.mask)),
        "probability": map_image(mosaic(shown.probability)),
    }
    if shown.uncertainty is not None:
        images["uncertainty"] = map_image(mosaic(shown.uncertainty))
    return {
        "shape": list(shown.grey.shape),
        "spacing": [round(float(mm), 5) for mm in shown.spacing_mm],
        "start": list(shown.centre),
        "across": columns(shown.grey.shape),
        "images": images,
        "letters": {
            plane: list(edges(shown.affine, columns=columns_, rows=rows))
            for plane, (_, columns_, rows) in AXES.items()
        },
        "index": [
            [shown.native_index(axis, n) for n in range(size)]
            for axis, size in enumerate(shown.grey.shape)
        ],
    }
