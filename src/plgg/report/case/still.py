"""`Still`: one slice as a picture that needs no script: grey image, outline, letters, lines.

The image is drawn in millimetres, so that voxels have their true shape; outlines run along the
voxels' edges, hiding nothing. Knows nothing of HTML; the template makes an SVG of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plgg.report.case.letters import Edges, edges
from plgg.report.case.shown import AXES, Plane, Shown
from plgg.report.case.sprites import grey_image

Line = tuple[float, float, float, float]


@dataclass(frozen=True)
class Still:
    """A slice to draw.

    Attributes:
        plane: Of the slice.
        index: The file's voxel index of the slice.
        image: Data URI of its greys, one pixel a voxel.
        width_mm: Of the picture.
        height_mm: Of the picture.
        pixel_mm: Width and height of a voxel.
        outline: SVG path in voxels, from the upper left corner.
        edges: Letters.
        lines: Lines to draw, in mm from the upper left corner.
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

    @property
    def alt(self) -> str:
        """What it shows, for those who cannot see it."""
        tumour = "with the tumour's outline" if self.outline else "without tumour"
        left, right, top, bottom = self.edges
        return (
            f"{self.plane.capitalize()} slice {self.index} {tumour}; left edge {left}, right edge "
            f"{right}, upper edge {top}, lower edge {bottom}"
        )


def still(shown: Shown, plane: Plane, position: int, *, lines: Sequence[Line] = ()) -> Still:
    """Draw a slice.

    Args:
        shown: What is shown.
        plane: Which slices.
        position: Which of them, an index of `shown`.
        lines: In voxels of the slice, from the first voxel's centre.
    """
    across, columns, rows = AXES[plane]
    grey, mask = (np.take(data, position, axis=across).T for data in (shown.grey, shown.mask))
    width, height = shown.spacing_mm[columns], shown.spacing_mm[rows]
    return Still(
        plane=plane,
        index=shown.native_index(across, position),
        image=grey_image(np.ascontiguousarray(grey)),
        width_mm=round(float(grey.shape[1] * width), 2),
        height_mm=round(float(grey.shape[0] * height), 2),
        pixel_mm=(round(float(width), 5), round(float(height), 5)),
        outline=outline_path(mask),
        edges=edges(shown.affine, columns=columns, rows=rows),
        lines=tuple(_in_mm(line, float(width), float(height)) for line in lines),
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
