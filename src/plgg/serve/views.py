"""`CaseView`: cached volume, thumbnail and metadata of a case for the web page.

VIEW/volume.nii.gz    the scan on the grid of the mask, whatever it was uploaded as
VIEW/thumbnail.png
VIEW/view.json        shape, affine, certainty; written last, so that a view with it is complete

A view may be deleted: it is made again on demand.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plgg.core.errors import InputError
from plgg.core.files import atomic_write, make_folder, write_json
from plgg.core.prediction_files import MASK, PROBABILITY, UNCERTAINTY
from plgg.core.records import JsonError, as_record, read_json
from plgg.core.volume import Volume, same_grid
from plgg.data.budget import scan_limit
from plgg.data.nifti.image import read_volume, write_volume
from plgg.data.result import Result
from plgg.data.scan import open_scan
from plgg.measure.uncertainty import MIN_PROBABILITY
from plgg.serve.errors import not_found
from plgg.serve.pictures import UprightScan, thumbnail_png, upright
from plgg.serve.records import ServeRecord, Sha256
from plgg.serve.work import WorkFolder

VOLUME, THUMBNAIL, VIEW = "volume.nii.gz", "thumbnail.png", "view.json"


class CaseView(ServeRecord):
    """`view.json`.

    Attributes:
        mask_sha256: SHA-256 of the model's mask that it was made with.
        shape: Shape of the scan, the mask and the maps.
        affine: From voxels to mm, RAS+.
        certainty: 1 − mean entropy in bits over the voxels of at least 5 % tumour, in [0, 1]; None
            where there is no such voxel.
    """

    mask_sha256: Sha256
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    affine: tuple[tuple[float, float, float, float], ...]
    certainty: float | None


def case_view(work: WorkFolder, case_id: str, result: Result) -> CaseView | None:
    """The view of a case; None if it is missing, or was made with another prediction."""
    try:
        view = as_record(read_json(work.view_folder(case_id) / VIEW), CaseView)
    except JsonError:
        return None
    return view if view.mask_sha256 == result.files.get(MASK) else None


def get_or_make_view(work: WorkFolder, case_id: str) -> CaseView:
    """The view of a case; made if it is missing.

    Raises:
        RequestError: 404, if nothing was predicted yet or the scan is not at hand.
        InputError: If the scan cannot be read.
    """
    result = work.result(case_id)
    if result is None:
        raise not_found("nothing was predicted yet", case_id)
    return case_view(work, case_id, result) or make_view(work, case_id)


def make_view(work: WorkFolder, case_id: str) -> CaseView:
    """Make the view of a predicted case; raises as `get_or_make_view`."""
    result = work.result(case_id)
    if result is None:
        raise not_found("nothing was predicted yet", case_id)
    folder, case = make_folder(work.view_folder(case_id)), work.case_folder(case_id)
    with scan_limit(work.options.scan_gib):
        scan = _scan(work, case_id, result)
        mask, newest = read_volume(case / MASK), read_volume(work.mask(case_id))
        probability = read_volume(case / PROBABILITY).data
        entropy = read_volume(case / UNCERTAINTY).data
    if not same_grid(scan, mask):
        raise InputError("the scan is not the one that was predicted", where=case_id)
    write_volume(folder / VOLUME, scan.with_data(_compact(scan.data)))
    _draw_thumbnail(folder, upright(scan), newest)
    view = CaseView(
        mask_sha256=result.files[MASK],
        shape=mask.shape,
        spacing_mm=_three(mask.spacing_mm),
        affine=tuple(tuple(map(float, row)) for row in mask.affine),
        certainty=certainty(probability, entropy),
    )
    write_json(folder / VIEW, view.model_dump(mode="json"))
    return view


def _draw_thumbnail(folder: Path, scan: UprightScan, mask: Volume) -> None:
    with atomic_write(folder / THUMBNAIL) as aside:
        aside.write_bytes(thumbnail_png(scan, scan.turned(mask.data > 0)))


def redraw_thumbnail(work: WorkFolder, case_id: str) -> None:
    """Redraw the thumbnail with the newest mask; raises as `get_or_make_view`."""
    mask = read_volume(work.mask(case_id))
    _draw_thumbnail(work.view_folder(case_id), upright_case(work, case_id), mask)


def _scan(work: WorkFolder, case_id: str, result: Result) -> Volume:
    return open_scan(work.scan(case_id), result.input.sequences[0]).volume


def _three(values: NDArray[np.float64]) -> tuple[float, float, float]:
    i, j, k = map(float, values)
    return i, j, k


def _compact(data: NDArray[np.float32]) -> NDArray[Any]:
    """Convert to int16 where that is lossless, which halves the size; else unchanged."""
    low, high = float(data.min()), float(data.max())
    if np.isfinite([low, high]).all() and low >= -32768 and high <= 32767:
        whole = data.astype(np.int16)
        if (whole == data).all():
            return whole
    return data


def certainty(probability: NDArray[Any], entropy: NDArray[Any]) -> float | None:
    """1 − mean entropy in bits over the voxels that may be tumour; None where there is none.

    Args:
        probability: Of tumour, in [0, 1].
        entropy: In bits, of the same shape.
    """
    possible = probability >= MIN_PROBABILITY
    if not possible.any():
        return None
    return round(float(np.clip(1.0 - entropy[possible].mean(dtype=np.float64), 0.0, 1.0)), 4)


def upright_case(work: WorkFolder, case_id: str) -> UprightScan:
    """The scan of a case in RAS orientation; the last two are cached."""
    get_or_make_view(work, case_id)
    path = work.view_folder(case_id) / VOLUME
    return _upright(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=2)
def _upright(path: Path, _written_ns: int) -> UprightScan:
    return upright(read_volume(path))
