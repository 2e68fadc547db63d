"""Affine of a stack from its slice positions, or an error; and slice positions for new headers.

Distances come from the positions, never from SliceThickness or SpacingBetweenSlices, which are
often wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.valuerep import format_number_as_ds

from plgg.core.errors import InputError
from plgg.core.volume import Affine, apply_affine, spacing_mm
from plgg.data.dicom.frame import Picture, Plane
from plgg.data.dicom.header import first, number

MOST_TILT_DEGREES = 0.5
"""Angle between the stacking direction and the slices' normal; the affine has smaller tilts."""

MAX_DEVIATION_MM = 0.2
"""Largest deviation of a slice from the regular grid: headers round their positions."""

MAX_DEVIATION_FRACTION = 0.05
"""The same as a fraction of the slice spacing, where that is more."""

_NEVER_OFF_SHARE = 0.25
_MOST_SKEW = 5e-3  # Of direction cosines that were rounded to two or three digits.

_EXPORT = "Export the whole series again."
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
Refuse = Callable[[str, str], InputError]


def fit_regular_grid(pictures: tuple[Picture, ...], path: Path) -> tuple[NDArray[np.intp], Affine]:
    """The order of the slices, and the affine of their stack (columns, rows, slices).

    Args:
        pictures: Slices of one stack, in any order.
        path: For messages.

    Returns:
        Indices into `pictures` in the order of the volume's last axis, and the RAS+ affine in mm.

    Raises:
        InputError: If sizes, pixel spacings or orientations are mixed, slices are missing,
            duplicated or unevenly spaced, or the stack is tilted.
    """

    def refuse(what: str, remedy: str) -> InputError:
        return InputError(what, where=path, remedy=remedy)

    planes = _planes(pictures, refuse)
    _refuse_mixed(pictures, planes, refuse)
    normal = _unit(np.cross(planes[0].across, planes[0].down))
    positions = np.array([plane.position for plane in planes])
    along = positions @ normal
    order = np.argsort(along, kind="stable")
    _refuse_uneven(along[order], refuse)
    step = _step(positions[order])
    _refuse_tilt(positions[order], normal, step, refuse)
    affine = np.eye(4)
    affine[:3, :3] = np.stack([planes[0].across, planes[0].down, step], axis=1)
    # From the mean position, so that the rounding of one slice does not shift the volume.
    affine[:3, 3] = positions.mean(axis=0) - step * (len(planes) - 1) / 2
    affine = _LPS_TO_RAS @ affine
    return order, affine


def _planes(pictures: tuple[Picture, ...], refuse: Refuse) -> list[Plane]:
    n_images = sum(picture.stands_for for picture in pictures)
    if n_images == 1:
        raise refuse("holds one slice only", "Name the folder that holds the whole series.")
    planes = [picture.plane for picture in pictures if picture.plane is not None]
    lost = n_images - len(planes)
    if lost:
        raise refuse(
            f"{lost} of {n_images} images do not say where they lie (position, orientation or"
            " pixel spacing is missing or impossible, or a file describes more or fewer frames than"
            " it counts)",
            _EXPORT,
        )
    if any(abs(_unit(plane.across) @ _unit(plane.down)) > _MOST_SKEW for plane in planes):
        raise refuse("the rows and columns of an image are not at right angles", _EXPORT)
    return planes


def _refuse_mixed(pictures: tuple[Picture, ...], planes: list[Plane], refuse: Refuse) -> None:
    sizes = sorted({picture.shape for picture in pictures})
    if len(sizes) > 1:
        named = " and ".join(f"{columns}×{rows}" for rows, columns in sizes[:3])
        raise refuse(f"its slices have different sizes ({named})", "Export one series only.")
    if len({picture.space for picture in pictures} - {""}) > 1:
        raise refuse(
            "its slices have different frames of reference: two scans are mixed",
            "Export one series only.",
        )
    if len({picture.patient for picture in pictures} - {""}) > 1:
        raise refuse("its slices name different patients", "Export the series of one patient only.")
    if len({one.is_rescaled for one in pictures}) > 1 and _are_scaled(pictures):
        raise refuse("only some of its slices say how their values are scaled", _EXPORT)
    rows, columns = pictures[0].shape
    # How far the last pixel of a row or column moves if one slice's directions are another's.
    ends = np.array([(columns * plane.across, rows * plane.down) for plane in planes])
    off = float(np.linalg.norm(ends - ends[0], axis=-1).max())
    turned = max(_degrees(one[k], ends[0, k]) for one in ends for k in (0, 1))
    if turned > MOST_TILT_DEGREES:
        raise refuse(
            f"its slices have different orientations (up to {turned:.0f}° apart)",
            "Export one stack of parallel slices.",
        )
    if off > MAX_DEVIATION_MM:
        raise refuse("its slices have different pixel spacings or directions", _EXPORT)


def _are_scaled(pictures: tuple[Picture, ...]) -> bool:
    return any((one.slope, one.intercept) != (1.0, 0.0) for one in pictures)


def tolerance_mm(step: float) -> float:
    """Largest deviation of a slice from the grid at this slice spacing, in mm."""
    return min(max(MAX_DEVIATION_MM, MAX_DEVIATION_FRACTION * step), _NEVER_OFF_SHARE * step)


def _refuse_uneven(along: NDArray[np.float64], refuse: Refuse) -> None:
    gaps = np.diff(along)
    # The upper quartile is a whole step even if many slices are duplicated.
    twice = int((gaps < max(0.01, 0.05 * float(np.quantile(gaps, 0.75)))).sum())
    if twice:
        raise refuse(
            f"{twice} of {along.size} slices lie where another one lies: several acquisitions or"
            " time points in one series",
            "Export one of them only.",
        )
    step = float(np.median(gaps[gaps <= 1.5 * gaps.min()]))
    places = np.concatenate([[0.0], np.cumsum(np.maximum(1.0, np.rint(gaps / step)))])
    missing = np.diff(places).astype(int) - 1
    step, start = np.polyfit(places, along, 1)
    off = float(np.abs(along - start - step * places).max())
    # If slices are missing in most gaps, the true spacing is unknown.
    if off > tolerance_mm(step) or 2 * np.count_nonzero(missing) > missing.size:
        raise refuse(
            "the distances between its slices are uneven"
            f" ({gaps.min():.2f} to {gaps.max():.2f} mm)",
            _EXPORT,
        )
    if missing.any():
        raise refuse(_missing(missing, along.size, step), _EXPORT)


def _missing(missing: NDArray[np.intp], n_slices: int, step: float) -> str:
    places = [f"{count} after slice {at + 1}" for at, count in enumerate(missing) if count]
    shown = ", ".join(places[:4]) + (" and more" if len(places) > 4 else "")
    total = missing.sum()
    verb = "slice is" if total == 1 else "slices are"
    return (
        f"{total} {verb} missing: {shown} (of {n_slices}, {step:.2f} mm apart, counted along"
        " the stack)"
    )


def _step(positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Least-squares step from slice to slice of ordered positions of shape (n, 3)."""
    places = np.arange(len(positions)) - (len(positions) - 1) / 2
    return np.asarray(places @ positions / np.square(places).sum(), dtype=np.float64)


def _refuse_tilt(
    positions: NDArray[np.float64],
    normal: NDArray[np.float64],
    step: NDArray[np.float64],
    refuse: Refuse,
) -> None:
    lean = _degrees(step, normal)
    allowed = tolerance_mm(float(np.linalg.norm(step)))
    aside = float(np.linalg.norm(step - (step @ normal) * normal)) * (len(positions) - 1)
    # In a thin stack, the rounding of positions gives larger angles.
    if lean > MOST_TILT_DEGREES and aside > 2 * allowed:
        raise refuse(
            f"its slices are stacked {lean:.1f}° aslant (a tilted gantry or a sheared stack)",
            "Use a series without tilt, or straighten it with another tool first.",
        )
    places = np.arange(len(positions)) - (len(positions) - 1) / 2
    off = positions - positions.mean(axis=0) - places[:, None] * step
    worst = float(np.linalg.norm(off, axis=1).max())
    if worst > allowed:
        raise refuse(
            f"its slices do not lie on one line (one is {worst:.2f} mm off)",
            "Export one stack of parallel slices.",
        )


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float64)


def _degrees(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    across = np.linalg.norm(np.cross(_unit(one), _unit(other)))
    return float(np.degrees(np.arctan2(across, _unit(one) @ _unit(other))))


_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def place_slices(headers: Sequence[Dataset], affine: Affine) -> None:
    """Write the geometry of a regular grid into classic headers, one for each slice.

    Args:
        headers: In the order of the volume's last axis; changed.
        affine: Of the volume, voxel to world, RAS+ in mm.
    """
    for index, header in enumerate(headers):
        header.update(_orientation(affine))
        header.update(_measures(affine, header.get("SliceThickness")))
        header.update(_position(affine, index))


def place_frames(header: Dataset, frames: Sequence[int], affine: Affine) -> None:
    """Reduce an enhanced header to some frames, and write the geometry of a regular grid into it.

    Args:
        header: Modified in place; only the geometry is kept of its functional groups.
        frames: Which of its frames each slice of the volume is, from 0.
        affine: Of the volume, voxel to world, RAS+ in mm.
    """
    groups = [
        header.PerFrameFunctionalGroupsSequence[frames[0]],
        *header.get("SharedFunctionalGroupsSequence", []),
        header,
    ]
    shared = Dataset()
    shared.PlaneOrientationSequence = [_orientation(affine)]
    shared.PixelMeasuresSequence = [_measures(affine, first(groups, "SliceThickness"))]
    header.SharedFunctionalGroupsSequence = [shared]
    header.PerFrameFunctionalGroupsSequence = [_frame(affine, k) for k in range(len(frames))]
    header.NumberOfFrames = len(frames)


def _frame(affine: Affine, index: int) -> Dataset:
    frame = Dataset()
    frame.PlanePositionSequence = [_position(affine, index)]
    return frame


def _orientation(affine: Affine) -> Dataset:
    turned = (_RAS_TO_LPS @ affine)[:3, :3] / spacing_mm(affine)
    item = Dataset()
    item.ImageOrientationPatient = _text([*turned[:, 0], *turned[:, 1]])
    return item


def _measures(affine: Affine, thickness: Any) -> Dataset:  # noqa: ANN401
    between_columns, between_rows, _ = spacing_mm(affine)
    normal = np.cross(affine[:3, 0], affine[:3, 1]) / (between_columns * between_rows)
    apart = abs(float(normal @ affine[:3, 2]))
    own = number(thickness, 0.0)
    item = Dataset()
    item.PixelSpacing = _text([between_rows, between_columns])
    (item.SpacingBetweenSlices,) = _text([apart])
    (item.SliceThickness,) = _text([own if own > 0 else apart])
    return item


def _position(affine: Affine, index: int) -> Dataset:
    item = Dataset()
    item.ImagePositionPatient = _text(apply_affine(_RAS_TO_LPS @ affine, np.array([0, 0, index])))
    return item


def _text(numbers: Any) -> list[str]:  # noqa: ANN401
    return [format_number_as_ds(float(one)) for one in numbers]
