"""One picture a case: does the scan's brain lie on the atlas' brain, and where is the tumour?

A radiologist should see it in one glance: the scan above, the atlas below, the same three planes
with the same outlines on both. A case that failed gets its native scan and the reason. What is
wrong was found elsewhere (`plgg.preprocess.gates`); nothing is judged here.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from plgg.io.quality import Quality
from plgg.preprocess.card import LEGEND, WIDTH, Card, Key, made_by, notes, wrapped
from plgg.preprocess.panels import (
    PLANES,
    Cuts,
    Panels,
    centre,
    cuts_of,
    grey,
    plane,
    shown,
    upright,
    window,
)
from plgg.volume import Volume

__all__ = ["Panels", "draw_case", "draw_failed"]

_BRAIN = Key("the scan’s brain", "#4db8ff")
_ATLAS = Key("the atlas’ brain", "#ffa62b", dashed=True)
_TUMOUR = Key("tumour", "#19e37d")
# Inches.
_LEFT = 0.36
_GAP = 0.06
_BAR_MM = 50.0


def draw_case(path: Path, panels: Panels, *, title: str, quality: Quality) -> None:
    """Draw a scan that lies on the atlas, whether or not it lies there well.

    Args:
        path: The PNG to write.
        panels: The scan, the atlas and their masks on one grid.
        title: Name of the case.
        quality: What the gates said; all that is not good is written out.

    Raises:
        OutputError: If the file cannot be written.
    """
    view = shown(panels)
    cuts = cuts_of(view)
    high = _height(view.scan)
    lines = wrapped([made_by(quality), *notes(quality)])
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
        reason: What stopped it.
        quality: What was measured until then; None where nothing was.

    Raises:
        OutputError: If the file cannot be written.
    """
    words = [f"✘ {reason}"]
    if quality is not None:
        words += [*notes(quality, said=reason), made_by(quality)]
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
    """Black added so that no side is under half the longest, and thus no panel a mere line."""
    least = -(-max(image.shape) // 2)
    missing = [max(0, least - n) for n in image.shape]
    return np.pad(image, [(n // 2, n - n // 2) for n in missing])


def _scale(image: NDArray[np.float32]) -> float:
    """Inches a voxel, the same in all three planes, so that they fill the card's width."""
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
    """Where the other two planes run: a place on the scan is found again on the atlas."""
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
