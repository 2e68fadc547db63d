"""One picture a case: the brain and the tumour's outline in three planes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from plgg.io.codes import OUTSIDE, decode
from plgg.io.files import written_aside
from plgg.preprocess.case import Prepared

_PLANES = ((2, "axial"), (1, "coronal"), (0, "sagittal"))


def write_qc(path: Path, prepared: Prepared, *, title: str) -> None:
    """Draw a prepared case: slices through the tumour, or the middle; brain blue, tumour red."""
    figure = Figure(figsize=(9, 3.4), facecolor="black", layout="constrained")
    figure.suptitle(title, color="white", fontsize=10)
    centre = _centre(prepared)
    brain = prepared.image != OUTSIDE
    for axes, (axis, name) in zip(figure.subplots(1, 3), _PLANES, strict=True):
        axes.set_title(name, color="white", fontsize=8)
        axes.axis("off")
        axes.imshow(_slice(decode(prepared.image), axis, centre), cmap="gray", vmin=-3, vmax=4)
        _outline(axes, _slice(brain, axis, centre), "deepskyblue")
        if prepared.mask is not None:
            _outline(axes, _slice(prepared.mask, axis, centre), "red")
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=80)
    with written_aside(path) as aside:
        aside.write_bytes(picture.getvalue())


def _centre(prepared: Prepared) -> NDArray[np.int64]:
    if prepared.mask is not None and prepared.mask.any():
        return np.asarray(np.round(np.argwhere(prepared.mask).mean(axis=0)), dtype=np.int64)
    return np.asarray(prepared.image.shape, dtype=np.int64) // 2


def _slice(data: NDArray[Any], axis: int, centre: NDArray[np.int64]) -> NDArray[Any]:
    """A plane with anterior or superior up; the grid's axes run to L, P, S."""
    plane: NDArray[Any] = np.take(data, int(centre[axis]), axis=axis).T
    return plane if axis == 2 else plane[::-1]


def _outline(axes: Any, plane: NDArray[Any], colour: str) -> None:  # noqa: ANN401 - matplotlib
    if plane.any() and not plane.all():
        axes.contour(plane.astype(float), levels=[0.5], colors=[colour], linewidths=0.8)
