"""The QC picture of a case: scan, brain and tumour over the atlas in three planes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from plgg.core.volume import Affine, Box, Volume, apply_affine, index_map
from plgg.data.atlas.atlas import Atlas
from plgg.data.quality import Quality
from plgg.preprocess.brain_extraction import bounding_box
from plgg.preprocess.grid import working_image
from plgg.preprocess.qc_card import LEGEND, WIDTH, Card, Key, notes, registration_line, wrapped
from plgg.preprocess.registration.frame import view_of
from plgg.preprocess.registration.start import AtlasPosition
from plgg.preprocess.resample import resample, smooth_for


def panels_of(flair: Volume, mask: Volume | None, placed: AtlasPosition, atlas: Atlas) -> Panels:
    """Resample a native scan, skull included, to the atlas, to draw both.

    Args:
        flair: The native scan.
        mask: Its tumour on the same grid, or None.
        placed: Its brain and position on the atlas.
        atlas: The atlas that it was registered to.
    """
    view = view_of(atlas)
    target_mm = float(view.frame.image.spacing_mm[0])
    native_from_grid = index_map(placed.native_to_atlas @ flair.affine, view.grid.affine)

    def carry(data: NDArray[Any]) -> NDArray[np.float32]:
        return resample(data, native_from_grid, view.grid.shape)

    smooth = smooth_for(flair.data, spacing_mm=flair.spacing_mm, target_mm=target_mm)
    return Panels(
        scan=carry(smooth),
        brain=carry(placed.brain) >= 0.5,
        tumour=None if mask is None else carry(mask.data > 0) >= 0.5,
        atlas=view.frame.image.data,
        atlas_brain=view.frame.brain,
        spacing_mm=target_mm,
    )


# Axis that is cut, its name, and what lies left, right and on top of the picture (radiological).
PLANES = ((2, "axial", "RLA"), (1, "coronal", "RLS"), (0, "sagittal", "APS"))
Cuts = tuple[int, int, int]
Window = tuple[float, float]
# Voxels that are enough for a percentile.
_ENOUGH = 200_000
# Skin and skull are shown as far as this from the brains: enough to see whether a skull is on.
_MARGIN_MM = 14.0
# A native scan is drawn with so many voxels along its longest side.
_FINEST = 160


@dataclass(frozen=True, eq=False)
class Panels:
    """A scan and the atlas on one atlas-space grid of shape (I, J, K), axes to L, P, S.

    Attributes:
        scan: The scan carried to the grid, any intensity, skull and all where there is one.
        brain: The scan's brain there.
        tumour: The tumour's mask there; None where unknown.
        atlas: The atlas image.
        atlas_brain: Its brain.
        spacing_mm: Isotropic voxel size.
    """

    scan: NDArray[np.float32]
    brain: NDArray[np.bool_]
    tumour: NDArray[np.bool_] | None
    atlas: NDArray[np.float32]
    atlas_brain: NDArray[np.bool_]
    spacing_mm: float


def cropped_to_head(panels: Panels) -> Panels:
    """Crop to both brains and a margin of skin; the arrays are views, not copies."""
    either = panels.brain | panels.atlas_brain
    margin = round(_MARGIN_MM / panels.spacing_mm)
    box = bounding_box(either, margin=margin) if either.any() else (slice(None),) * 3
    return Panels(
        scan=panels.scan[box],
        brain=panels.brain[box],
        tumour=_cropped(panels.tumour, box),
        atlas=panels.atlas[box],
        atlas_brain=panels.atlas_brain[box],
        spacing_mm=panels.spacing_mm,
    )


def _cropped(mask: NDArray[np.bool_] | None, box: Box) -> NDArray[np.bool_] | None:
    return None if mask is None or not mask[box].any() else mask[box]


def cuts_of(panels: Panels) -> Cuts:
    """Voxel through which all planes are cut: the tumour's centre of mass, or else a brain's."""
    masks = (panels.tumour, panels.brain, panels.atlas_brain)
    return centre(next((m for m in masks if m is not None and m.any()), panels.brain))


def centre(weight: NDArray[Any]) -> Cuts:
    """Centre of mass in whole voxels; the middle of the array where it is all zero."""
    found = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        mass = weight.sum(axis=others, dtype=np.float64)
        at = np.average(np.arange(mass.size), weights=mass) if mass.sum() > 0 else mass.size // 2
        found.append(min(round(float(at)), mass.size - 1))
    return found[0], found[1], found[2]


def plane(data: NDArray[Any], axis: int, cuts: Cuts) -> NDArray[Any]:
    """One plane as an image: the patient's left on its right, front or top up."""
    cut: NDArray[Any] = np.take(data, cuts[axis], axis=axis).T
    return cut if axis == 2 else cut[::-1]


def window(data: NDArray[Any], where: NDArray[np.bool_]) -> Window:
    """1st and 99.5th percentile of a part of an image.

    Args:
        data: Array of any contents.
        where: The part, of the same shape; if it holds nothing finite, all of `data` counts.
    """
    step = max(1, round((data.size / _ENOUGH) ** (1 / 3)))
    some = (slice(None, None, step),) * 3
    few, there = (data[some], where[some]) if where[some].any() else (data, where)
    known = np.isfinite(few)
    part = few[known & there] if (known & there).any() else few[known]
    if part.size == 0:
        return 0.0, 0.0
    low, high = np.percentile(part.astype(np.float64), (1.0, 99.5))
    return float(low), float(high)


def grey(data: NDArray[Any], where: NDArray[np.bool_], ends: Window) -> NDArray[np.float32]:
    """Scale intensities of any contents to grey levels from 0 to 1.

    NaN and infinity become black, and so does 0 outside the part, because a z-scored scan has
    voxels that are darker than its background.

    Args:
        data: An image or a plane of one.
        where: The part that `ends` were taken from, of the same shape.
        ends: What is to be black and what white.
    """
    low, high = ends
    known = np.isfinite(data)
    filled = np.where(known, data, low).astype(np.float64)
    level = (filled - low) / (high - low) if high > low else np.full(data.shape, 0.5)
    level[~known | ((data == 0) & ~where)] = 0.0
    return np.clip(level, 0.0, 1.0).astype(np.float32)


def upright(volume: Volume) -> NDArray[np.float32]:
    """A native scan as grey levels on an isotropic grid with axes to L, P, S; coarse and quick.

    Any orientation, affine and contents will do.
    """
    corners = np.array(np.meshgrid(*[(0, n) for n in volume.shape])).reshape(3, -1).T
    extent_mm = np.ptp(apply_affine(volume.affine, corners), axis=0)
    target_mm = float(extent_mm.max()) / _FINEST
    thin = _thinned(volume, target_mm)
    content = np.asarray(thin.data != 0, dtype=np.bool_)
    level = grey(thin.data, content, window(thin.data, content))
    image: NDArray[np.float32] = working_image(thin.with_data(level), target_mm).data[::-1, ::-1]
    return image


def _thinned(volume: Volume, target_mm: float) -> Volume:
    """Subsample a volume along the axes where voxels are at least twice as fine as drawn."""
    steps = [max(1, int(target_mm / spacing)) for spacing in volume.spacing_mm]
    i, j, k = (slice(None, None, step) for step in steps)
    affine: Affine = volume.affine @ np.diag([*steps, 1.0])
    return Volume(volume.data[i, j, k], affine)


_BRAIN = Key("the scan’s brain", "#4db8ff")
_ATLAS = Key("the atlas’ brain", "#ffa62b", dashed=True)
_TUMOUR = Key("tumour", "#19e37d")
# Inches.
_LEFT = 0.36
_GAP = 0.06
_BAR_MM = 50.0


def draw_case(path: Path, panels: Panels, *, title: str, quality: Quality) -> None:
    """Draw a registered scan and the atlas, also where the registration failed its gates.

    Args:
        path: The PNG to write.
        panels: The scan, the atlas and their masks on one grid.
        title: Name of the case.
        quality: Verdicts of the gates; those that are not good are written out.

    Raises:
        OutputError: If the file cannot be written.
    """
    view = cropped_to_head(panels)
    cuts = cuts_of(view)
    high = _height(view.scan)
    lines = wrapped([registration_line(quality), *notes(quality)])
    card = Card(title, quality.status, lines, 2 * high + _GAP + LEGEND)
    rows = (("SCAN", view.scan, view.brain), ("ATLAS", view.atlas, view.atlas_brain))
    for row, (name, image, brain) in enumerate(rows):
        top = card.top + row * (high + _GAP)
        card.aside(top + high / 2, name)
        drawn = _draw(card, top, image, brain, cuts)
        for axes, (axis, *_) in zip(drawn, PLANES, strict=True):
            _outlines(axes, view, axis, cuts)
        _scale_bar(drawn[0], view.spacing_mm)
    card.legend([_BRAIN, _ATLAS, *([_TUMOUR] if view.tumour is not None else [])])
    card.save(path)


def draw_failed(
    path: Path, volume: Volume | None, *, title: str, reason: str, quality: Quality | None
) -> None:
    """Draw the native scan of a case that was not stored, and say why.

    Args:
        path: The PNG to write.
        volume: The scan, of any orientation and contents; None where nothing could be read.
        title: Name of the case.
        reason: Why it was not stored.
        quality: Verdicts up to then; None where there are none.

    Raises:
        OutputError: If the file cannot be written.
    """
    words = [f"✘ {reason}"]
    if quality is not None:
        words += [*notes(quality, said=reason), registration_line(quality)]
    image = None if volume is None or 0 in volume.shape else _padded(upright(volume))
    if image is None:
        card = Card(title, "failed", wrapped(words), 1.6)
        card.write(WIDTH / 2, card.top + 0.7, "no scan to show", fontsize=12, ha="center")
    else:
        card = Card(title, "failed", wrapped(words), _height(image) + LEGEND)
        card.aside(card.top + _height(image) / 2, "NATIVE SCAN")
        _draw(card, card.top, image, image > 0, centre(image))
        told = "the scan as it came; left, front and top as its header says"
        card.write(WIDTH / 2, card.height - LEGEND / 2, told, ha="center")
    card.save(path)


def _padded(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pad with black to at least half the longest side, so that no panel is too narrow."""
    least = -(-max(image.shape) // 2)
    missing = [max(0, least - n) for n in image.shape]
    return np.pad(image, [(n // 2, n - n // 2) for n in missing])


def _scale(image: NDArray[np.float32]) -> float:
    """Inches per voxel, the same in all three planes, so that they fill the card's width."""
    i, j, _ = image.shape
    return float((WIDTH - 2 * _LEFT - 2 * _GAP) / (2 * i + j))


def _height(image: NDArray[np.float32]) -> float:
    """Height in inches that the highest plane needs."""
    return float(_scale(image) * max(image.shape[1:]))


def _draw(
    card: Card, top: float, image: NDArray[np.float32], part: NDArray[np.bool_], cuts: Cuts
) -> list[Axes]:
    """Three planes beside each other, their middles at one height; `part` sets the grey levels."""
    drawn = []
    left, scale, ends = _LEFT, _scale(image), window(image, part)
    for axis, name, sides in PLANES:
        cut = grey(plane(image, axis, cuts), plane(part, axis, cuts), ends)
        height, width = (scale * n for n in cut.shape)
        axes = card.axes(left, top + (_height(image) - height) / 2, width, height)
        axes.imshow(cut, cmap="gray", vmin=0, vmax=1, interpolation="bicubic", aspect="auto")
        _cross(axes, image, axis, cuts)
        _letters(axes, name, sides)
        drawn.append(axes)
        left += width + _GAP
    return drawn


def _cross(axes: Axes, image: NDArray[np.float32], axis: int, cuts: Cuts) -> None:
    """Draw where the other two planes cut this one, to compare places on scan and atlas."""
    across, up = (other for other in range(3) if other != axis)
    y = cuts[up] if axis == 2 else image.shape[up] - 1 - cuts[up]
    for line, at in ((axes.axvline, cuts[across]), (axes.axhline, y)):
        line(at, color="white", linewidth=0.6, alpha=0.28)


def _letters(axes: Axes, name: str, sides: str) -> None:
    places = ((0.02, 0.5, "left"), (0.98, 0.5, "right"), (0.5, 0.965, "center"))
    for (x, y, align), letter in zip(places, sides, strict=True):
        _word(axes, x, y, letter, align, 11)
    _word(axes, 0.02, 0.965, name, "left", 9)


def _word(axes: Axes, x: float, y: float, text: str, align: str, size: float) -> None:
    axes.text(
        x, y, text, transform=axes.transAxes, color="#dbe2e7", fontsize=size, ha=align, va="center"
    )


def _outlines(axes: Axes, view: Panels, axis: int, cuts: Cuts) -> None:
    layers = (
        (_ATLAS, view.atlas_brain, 1.5),
        (_BRAIN, view.brain, 1.5),
        (_TUMOUR, view.tumour, 1.8),
    )
    for key, mask, width in layers:
        if mask is None:
            continue
        # A rim of background closes outlines that would run out of the picture.
        cut = np.pad(plane(mask, axis, cuts), 1).astype(np.float32)
        if not cut.any():
            continue
        at_y, at_x = (np.arange(n) - 1 for n in cut.shape)
        style = (0, (4, 2)) if key.dashed else "-"
        axes.contour(
            at_x, at_y, cut, levels=[0.5], colors=[key.colour], linewidths=width, linestyles=[style]
        )


def _scale_bar(axes: Axes, spacing_mm: float) -> None:
    low, high = axes.get_ylim()
    right = axes.get_xlim()[1]
    bar = _BAR_MM / spacing_mm
    y = low + 0.035 * (high - low)
    axes.plot([right * 0.97 - bar, right * 0.97], [y, y], color="#dbe2e7", linewidth=1.6)
    axes.text(
        right * 0.97 - bar / 2, low + 0.06 * (high - low), f"{_BAR_MM:.0f} mm", color="#dbe2e7",
        fontsize=8.5, ha="center", va="center",
    )  # fmt: skip
