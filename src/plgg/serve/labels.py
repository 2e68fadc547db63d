"""`tumour_of`: read the tumour mask from a label file of 3D Slicer, OHIF or MONAI Label's client.

A label is NIfTI, `.nrrd`, `.seg.nrrd` or raw voxels in the order of the scan. Its axes may be
permuted, flipped, cropped or padded, but nothing is resampled. Of several segments, the one named
tumour is used.

    found = tumour_of(file, "label.seg.nrrd", base, names=("tumour",))
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plgg.core.errors import InputError
from plgg.core.masks import MOST_LABELS, whole_labels
from plgg.core.unpack import GZIP_MAGIC
from plgg.core.volume import Affine, Volume, index_map, same_grid
from plgg.data.nifti.image import read_volume
from plgg.serve.errors import RequestError
from plgg.serve.nrrd import MAGIC, Segment, read_nrrd

TUMOUR = "tumour"
_NAMES = frozenset({TUMOUR, "tumor"})
_TOLERANCE_MM = 0.05
_LABEL = "the label"
# Largest label per voxel: eight layers of 64 bits, more than these programs write.
_MOST_BYTES_A_VOXEL = 64
_SPARE_BYTES = 2**20


@dataclass(frozen=True, eq=False)
class Tumour:
    """The tumour in a label.

    Attributes:
        mask: Boolean, on the grid of the case.
        ignored: Names of further segments that are not empty.
    """

    mask: Volume
    ignored: tuple[str, ...] = ()


def tumour_of(file: Path, name: str, base: Volume, names: Sequence[str] = ()) -> Tumour:
    """Read the tumour from a label.

    Args:
        file: Label file from the client; it may be renamed.
        name: File name of the client; only its suffix is used.
        base: The model's mask of the case.
        names: Names of the segments with the values 1, 2 and so on, if the client gives them.

    Raises:
        RequestError: 413 if it is far larger than the case, 422 if it is no label, lies on another
            grid, or does not say which of several segments is the tumour.
    """
    if file.stat().st_size > base.data.size * _MOST_BYTES_A_VOXEL + _SPARE_BYTES:
        raise RequestError(413, "is far larger than the case", where=_LABEL)
    try:
        layers, segments = _read(file, name, base)
    except InputError as error:
        raise RequestError(422, error.what, where=_LABEL, remedy=error.remedy) from error
    arrays = [_labels(layer.data) for layer in layers]
    inside = _by_name(arrays, segments or _numbered(arrays[0], names))
    chosen, ignored = _choose(inside)
    found = layers[0].with_data(np.zeros(layers[0].shape, bool) if chosen is None else chosen)
    return Tumour(base.with_data(_map_to_grid(found, base)), ignored)


def _read(file: Path, name: str, base: Volume) -> tuple[tuple[Volume, ...], tuple[Segment, ...]]:
    with file.open("rb") as handle:
        begins = handle.read(len(MAGIC))
    if begins == MAGIC:
        found = read_nrrd(file.read_bytes())
        return found.layers, found.segments
    if name.lower().endswith(".bin"):
        return (_raw_voxels(file.read_bytes(), base),), ()
    ending = ".nii.gz" if begins.startswith(GZIP_MAGIC) else ".nii"
    return (read_volume(file.rename(file.with_name(f"{file.name}{ending}"))),), ()


def _raw_voxels(raw: bytes, base: Volume) -> Volume:
    """Raw voxels from OHIF: 8 or 16 bits each, in Fortran order."""
    size, rest = divmod(len(raw), base.data.size)
    if rest or size not in (1, 2):
        raise InputError(f"has {len(raw)} bytes for the case's {base.data.size} voxels")
    data = np.frombuffer(raw, dtype=f"<u{size}").reshape(base.shape, order="F")
    return Volume(data, base.affine)


def _labels(data: NDArray[Any]) -> NDArray[Any]:
    found = whole_labels(data)
    if found is None:
        raise RequestError(
            422, "holds fractions", where=_LABEL, remedy="Save the segmentation, not the scan."
        )
    return found


def _numbered(data: NDArray[Any], names: Sequence[str]) -> tuple[Segment, ...]:
    """The segments of a plain image: one for each value but 0."""
    values = [int(value) for value in np.unique(data) if value != 0]
    if len(values) > MOST_LABELS:
        raise RequestError(
            422, f"holds {len(values)} values", where=_LABEL, remedy="Save one segment."
        )
    named = dict(enumerate(names, 1))
    return tuple(Segment(named.get(value, str(value)), value, 0) for value in values)


def _by_name(
    layers: Sequence[NDArray[Any]], segments: Sequence[Segment]
) -> dict[str, NDArray[np.bool_]]:
    """Where each segment is; those that are empty are left out."""
    found = {one.name: np.asarray(layers[one.layer] == one.label) for one in segments}
    return {name: inside for name, inside in found.items() if inside.any()}


def _choose(
    inside: Mapping[str, NDArray[np.bool_]],
) -> tuple[NDArray[np.bool_] | None, tuple[str, ...]]:
    """The tumour; None where all segments are empty; and the names of other segments."""
    chosen = [name for name in inside if name.lower() in _NAMES] or [*inside]
    if len(chosen) > 1:
        listed = ", ".join(ascii(name) for name in chosen)
        raise RequestError(
            422,
            f"holds several segments ({listed}), and none alone is named {TUMOUR}",
            where=_LABEL,
            remedy=f"Name one of them {TUMOUR}.",
        )
    ignored = tuple(name for name in inside if name not in chosen)
    return (inside[chosen[0]] if chosen else None), ignored


def _map_to_grid(found: Volume, base: Volume) -> NDArray[np.bool_]:
    """Map a mask to the case's grid; its axes may be permuted, flipped, cropped or padded.

    3D Slicer flips left-handed images, crops segmentations, and may add an empty margin. A mask
    that would need interpolation is refused, and so is one with tumour outside of the case.
    """
    order, signs, start = _axes(index_map(base.affine, found.affine))
    data = np.asarray(found.data, dtype=np.bool_).transpose(order)[tuple(map(_step, signs))]
    origin = np.where(signs > 0, start, start - np.array(data.shape) + 1)
    voxels = np.argwhere(data) + origin
    whole = np.zeros(base.shape, dtype=np.bool_)
    inside = (voxels >= 0).all(axis=1) & (voxels < base.shape).all(axis=1)
    if not inside.all() or not _fits(found, base, order, signs, start):
        raise RequestError(
            422,
            "lies on another grid than the case",
            where=_LABEL,
            remedy="Draw it on the volume that plgg gave, unresampled; save it as .nrrd if it is"
            " sheared.",
        )
    whole[tuple(voxels.T)] = True
    return whole


def _axes(
    found_to_base: Affine,
) -> tuple[tuple[int, ...], NDArray[np.int_], NDArray[np.int_]]:
    """For each axis of the case: the label's axis and its direction; and the index of voxel 0."""
    rows = found_to_base[:3, :3]
    order = np.abs(rows).argmax(axis=1)
    signs = np.sign(rows[range(3), order]).astype(np.int_)
    if len(set(order.tolist())) < 3:
        order, signs = np.arange(3), np.ones(3, dtype=np.int_)
    return tuple(order.tolist()), signs, np.rint(found_to_base[:3, 3]).astype(np.int_)


def _step(sign: int) -> slice:
    return slice(None, None, int(sign))


def _fits(
    found: Volume,
    base: Volume,
    order: tuple[int, ...],
    signs: NDArray[np.int_],
    start: NDArray[np.int_],
) -> bool:
    """Whether all voxels of a label lie on the lattice of the case."""
    lattice = np.eye(4)
    lattice[:3, :3] = 0.0
    lattice[range(3), order] = signs
    lattice[:3, 3] = start
    expected = Volume(found.data, base.affine @ lattice)
    return same_grid(found, expected, tolerance_mm=_TOLERANCE_MM)
