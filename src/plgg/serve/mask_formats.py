"""Masks and scans in the file formats that clients of MONAI Label ask for.

ITK, which 3D Slicer reads NIfTI with, drops shear, such as a gantry tilt; a sheared grid is sent as
NRRD, which keeps it.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from plgg.core.files import atomic_write
from plgg.core.volume import Affine, Volume, spacing_mm
from plgg.data.budget import scan_limit
from plgg.data.dicom.segmentation import write_segmentation
from plgg.data.nifti.image import read_volume
from plgg.serve.errors import RequestError
from plgg.serve.labels import TUMOUR
from plgg.serve.nrrd import write_nrrd
from plgg.serve.views import VOLUME, CaseView, get_or_make_view
from plgg.serve.work import WorkFolder

NRRD = (".seg.nrrd", ".nrrd")
ENDINGS = (".nii.gz", ".nii", *NRRD)
SHEARED = "volume.nrrd"
_MOST_SHEAR = 1e-4
_TYPES = {"uint8": np.uint8, "uint16": np.uint16}


@dataclass(frozen=True)
class MaskFormat:
    """File format of a mask, as requested.

    Attributes:
        ending: One of `ENDINGS`.
        dtype: Voxel type of NRRD, uint8 or uint16.
        packed: Whether NRRD is compressed by gzip; OHIF reads it uncompressed.
    """

    ending: str = ".nii.gz"
    dtype: str = "uint8"
    packed: bool = True


def requested_format(params: Mapping[str, Any]) -> MaskFormat:
    """The format in the parameters of `infer`; unsupported voxel types become uint8.

    Raises:
        RequestError: 422, if there is no such format.
    """
    ending = str(params.get("result_extension") or ".nii.gz").lower()
    if ending not in ENDINGS:
        raise RequestError(
            422,
            "is no format of a mask",
            where="result_extension",
            remedy=f"Choose of {', '.join(ENDINGS)}.",
        )
    dtype = str(params.get("result_dtype"))
    # MONAI Label compresses NRRD on request only.
    packed = bool(params.get("result_compress", ending == ".seg.nrrd"))
    return MaskFormat(ending, dtype if dtype in _TYPES else "uint8", packed)


def is_sheared(affine: Affine) -> bool:
    """Whether the axes of a grid are not orthogonal, by more than rounding."""
    axes = affine[:3, :3] / spacing_mm(affine)
    return bool(np.abs(axes.T @ axes - np.eye(3)).max() > _MOST_SHEAR)


def exact_format(asked: MaskFormat, view: CaseView) -> MaskFormat:
    """The format that was asked for, or NRRD where the grid is sheared."""
    sheared = is_sheared(np.array(view.affine))
    return replace(asked, ending=".nrrd") if sheared and asked.ending not in NRRD else asked


def scan_file(work: WorkFolder, case_id: str) -> Path:
    """The scan of a case as `.nii.gz`, or as `.nrrd` where it is sheared; beside its view.

    Raises:
        RequestError: 404, if nothing was predicted yet or the scan is not at hand.
        InputError: If the scan cannot be read.
    """
    view = get_or_make_view(work, case_id)
    path = work.view_folder(case_id) / VOLUME
    if not is_sheared(np.array(view.affine)):
        return path
    sheared = path.with_name(SHEARED)
    if not sheared.is_file() or sheared.stat().st_mtime_ns < path.stat().st_mtime_ns:
        with scan_limit(work.options.scan_gib):
            raw = write_nrrd(read_volume(path))
        with atomic_write(sheared) as aside:
            aside.write_bytes(raw)
    return sheared


def mask_file(path: Path, asked: MaskFormat) -> bytes:
    """A mask file in another format, on the same grid."""
    if asked.ending == ".nii.gz":
        return path.read_bytes()
    if asked.ending == ".nii":
        return gzip.decompress(path.read_bytes())
    mask = read_volume(path)
    data = (mask.data > 0).astype(_TYPES[asked.dtype])
    segment = TUMOUR if asked.ending == ".seg.nrrd" else None
    return write_nrrd(mask.with_data(data), segment=segment, packed=asked.packed)


def centroids(path: Path) -> dict[str, list[float]]:
    """Label and centroid of the mask in voxels, as OHIF reads them; empty for an empty mask."""
    mask = read_volume(path)
    points = np.argwhere(mask.data > 0)
    if not len(points):
        return {}
    return {TUMOUR: [1, *(round(float(value), 2) for value in points.mean(axis=0))]}


def dicom_seg(work: WorkFolder, case_id: str, mask: Path, aside: Path) -> bytes:
    """A mask as DICOM SEG on the frames of the case's series.

    Raises:
        RequestError: 422, if the case was not uploaded as DICOM.
        InputError: If the series is no longer there, or lacks attributes that a SEG refers to.
    """
    result = work.result(case_id)
    if result is None or result.input.kind != "dicom":
        raise RequestError(
            422, "was not uploaded as DICOM", where=case_id, remedy="Ask for .nii.gz or .seg.nrrd."
        )
    with scan_limit(work.options.scan_gib):
        found: Volume = read_volume(mask)
        inside = found.with_data(found.data > 0)
        write_segmentation(aside, inside, work.scan(case_id), result.input.sequences[0])
    return aside.read_bytes()
