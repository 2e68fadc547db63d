"""Pictures of a scan: static slices, and the images of the interactive viewer.

A slice is drawn in millimetres, so that voxels have their true shape; outlines run along the
edges of voxels and hide nothing. The viewer's images are mosaics of the axial slices, row by row.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from plgg.core.volume import apply_affine, inverse
from plgg.data.result import Diameters
from plgg.report.case.view import AXES, Edges, Plane, ScanView, edges
from plgg.report.parts import REGIONS

Line = tuple[float, float, float, float]


@dataclass(frozen=True)
class SlicePicture:
    """A slice to draw.

    Attributes:
        plane: Of the slice.
        index: The file's voxel index of the slice.
        image: Data URI of its greys, one pixel a voxel.
        width_mm: Of the picture.
        height_mm: Of the picture.
        pixel_mm: Width and height of a voxel.
        outline: SVG path in voxels, from the upper left corner.
        edges: Orientation letters at the four edges.
        lines: Lines to draw, in mm from the upper left corner.
        inner: Colour and path, as `outline`, of each region within the tumour that is in the slice.
    """

    plane: Plane
    index: int
    image: str
    width_mm: float
    height_mm: float
    pixel_mm: tuple[float, float]
    outline: str
    edges: Edges
    lines: tuple[Line, ...] = ()
    inner: tuple[tuple[str, str], ...] = ()

    @property
    def alt(self) -> str:
        """Alternative text of the picture."""
        tumour = "with the tumour's outline" if self.outline else "without tumour"
        left, right, top, bottom = self.edges
        return (
            f"{self.plane.capitalize()} slice {self.index} {tumour}; left edge {left}, right edge "
            f"{right}, upper edge {top}, lower edge {bottom}"
        )


def slice_picture(
    view: ScanView, plane: Plane, position: int, *, lines: Sequence[Line] = ()
) -> SlicePicture:
    """Draw a slice.

    Args:
        view: The scan and its maps.
        plane: Orientation of the slice.
        position: Index of the slice along the axis across it.
        lines: In voxels of the slice, from the first voxel's centre.
    """
    across, columns, rows = AXES[plane]
    grey, mask = (np.take(data, position, axis=across).T for data in (view.grey, view.mask))
    width, height = view.spacing_mm[columns], view.spacing_mm[rows]
    return SlicePicture(
        plane=plane,
        index=view.native_index(across, position),
        image=grey_image(np.ascontiguousarray(grey)),
        width_mm=round(float(grey.shape[1] * width), 2),
        height_mm=round(float(grey.shape[0] * height), 2),
        pixel_mm=(round(float(width), 5), round(float(height), 5)),
        outline=outline_path(mask),
        edges=edges(view.affine, columns=columns, rows=rows),
        lines=tuple(_in_mm(line, float(width), float(height)) for line in lines),
        inner=tuple(
            (colour, path)
            for colour, region in zip(REGIONS, view.inner.values(), strict=False)
            if (path := outline_path(np.take(region, position, axis=across).T))
        ),
    )


def _in_mm(line: Line, width: float, height: float) -> Line:
    x1, y1, x2, y2 = (
        round((value + 0.5) * size, 2)
        for value, size in zip(line, (width, height) * 2, strict=True)
    )
    return x1, y1, x2, y2


def outline_path(mask: NDArray[np.bool_]) -> str:
    """SVG path along the edges of the pixels of a mask of shape (rows, columns)."""
    padded = np.pad(mask, 1)
    beside = padded[1:-1, 1:] != padded[1:-1, :-1]
    above = padded[1:, 1:-1] != padded[:-1, 1:-1]
    upright = [f"M{line} {start}V{end}" for line, start, end in _runs(beside.T)]
    level = [f"M{start} {line}H{end}" for line, start, end in _runs(above)]
    return "".join(upright + level)


def _runs(marked: NDArray[Any]) -> list[tuple[int, int, int]]:
    """Row, start and end of every run of marked elements along the rows."""
    steps = np.diff(np.pad(marked.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    rows, starts = np.nonzero(steps == 1)
    _, ends = np.nonzero(steps == -1)
    return list(zip(rows.tolist(), starts.tolist(), ends.tolist(), strict=True))


_MOST = 24


@dataclass(frozen=True)
class Strip:
    """Pictures of one plane.

    Attributes:
        plane: Of the slices.
        stills: From the patient's head down, from the front back, or from right to left.
        measured: Index of the picture that shows the diameters; None if none does.
        n_slices: How many slices hold tumour.
    """

    plane: Plane
    stills: tuple[SlicePicture, ...]
    measured: int | None
    n_slices: int


def acquired_plane(view: ScanView) -> Plane:
    """The plane of the scan's own slices: across its thickest axis; axial if all are alike."""
    planes: tuple[Plane, ...] = ("axial", "coronal", "sagittal")
    thickness = {plane: view.spacing_mm[AXES[plane][0]] for plane in planes}
    return max(planes, key=lambda plane: round(float(thickness[plane]), 2))


def strip_of(view: ScanView, diameters: Diameters | None) -> Strip:
    """Choose slices and draw them; the plane is that of the diameters, or the scan's own."""
    plane = diameters.plane if diameters else acquired_plane(view)
    across, columns, rows = AXES[plane]
    others = tuple(axis for axis in range(3) if axis != across)
    filled = np.flatnonzero(view.mask.any(axis=others)).tolist()
    lines: tuple[Line, ...] = ()
    at = None
    if diameters:
        ends = apply_affine(inverse(view.affine), np.array(diameters.ends_mm))
        a, b, c, d = ends[:, [columns, rows]].tolist()
        lines = ((a[0], a[1], b[0], b[1]), (c[0], c[1], d[0], d[1]))
        at = int(np.clip(np.rint(ends[:, across].mean()), 0, view.mask.shape[across] - 1))
    chosen = spaced(filled, keep=at)
    stills = (slice_picture(view, plane, n, lines=lines if n == at else ()) for n in chosen)
    return Strip(plane, tuple(stills), chosen.index(at) if at in chosen else None, len(filled))


def spaced(slices: list[int], *, keep: int | None, most: int = _MOST) -> list[int]:
    """At most so many of the slices, evenly spaced, with both ends and the one to keep."""
    picks = np.linspace(0, len(slices) - 1, most).round().astype(int).tolist()
    chosen = slices if len(slices) <= most else [slices[n] for n in picks]
    if keep is None or keep in chosen:
        return chosen
    if len(chosen) < most:
        return sorted([*chosen, keep])
    nearest = min(chosen[1:-1], key=lambda n: abs(n - keep))
    return sorted([keep if n == nearest else n for n in chosen])


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
    """Grey values as a data URI of a WebP: small, with errors of a few grey levels."""
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
    """Bytes of an image as a data URI."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def viewer_data(view: ScanView) -> dict[str, Any]:
    """Data for the viewer's script.

    Returns:
        `shape`, `spacing` (mm), `start` (voxel to look at first), `across` (slices in a row of the
        images), `images` by name, `regions` (colours, by which the images of regions within the
        tumour are named), `letters` (left, right, top, bottom) by plane, and `index`: the
        file's voxel index of every slice along each axis.
    """
    images = {
        "grey": grey_image(mosaic(view.grey)),
        "mask": mask_image(mosaic(view.mask)),
        "probability": map_image(mosaic(view.probability)),
    }
    regions = dict(zip(REGIONS, view.inner.values(), strict=False))
    images |= {colour: mask_image(mosaic(region)) for colour, region in regions.items()}
    if view.uncertainty is not None:
        images["uncertainty"] = map_image(mosaic(view.uncertainty))
    return {
        "shape": list(view.grey.shape),
        "spacing": [round(float(mm), 5) for mm in view.spacing_mm],
        "start": list(view.centre),
        "across": columns(view.grey.shape),
        "images": images,
        "regions": list(regions),
        "letters": {
            plane: list(edges(view.affine, columns=columns_, rows=rows))
            for plane, (_, columns_, rows) in AXES.items()
        },
        "index": [
            [view.native_index(axis, n) for n in range(size)]
            for axis, size in enumerate(view.grey.shape)
        ],
    }
