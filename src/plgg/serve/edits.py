"""`save_edit`: save a corrected mask atomically as the next edit of its case.

    edit = save_edit(work, "P01", Path("upload.nii.gz"), if_match=etag, who="AB", minutes=1.5)

The model's mask and earlier edits are never changed. A client names the mask that it started from;
if another one was saved since, nothing is written, and the request fails (409).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plgg.core.errors import InputError
from plgg.core.files import make_folder, sha256, sync, write_json
from plgg.core.folders import scratch_folder
from plgg.core.prediction_files import MASK
from plgg.core.unpack import GZIP_MAGIC
from plgg.core.volume import Volume, same_grid
from plgg.data.budget import scan_limit
from plgg.data.nifti.image import read_volume, write_volume
from plgg.metrics.overlap import hard_dice
from plgg.serve.errors import RequestError, not_found
from plgg.serve.records import EditRecord, now
from plgg.serve.work import WorkFolder

COMMIT = threading.Lock()
"""Lock to commit an edit or to queue a new prediction; slow steps run before it is taken."""

_MOST_EDITS = 9999
_TOLERANCE_MM = 0.05


def save_edit(
    work: WorkFolder,
    case_id: str,
    file: Path,
    *,
    if_match: str,
    who: str = "",
    minutes: float | None = None,
    allow: Callable[[], object] = lambda: None,
) -> EditRecord:
    """Save a corrected mask.

    Args:
        work: The reading room.
        case_id: A predicted case.
        file: NIfTI from the client, with any name; it is renamed.
        if_match: SHA-256 of the mask that the client began with.
        who: Name of the user.
        minutes: Time spent.
        allow: Last check, called under the lock; raises if the edit must not be saved.

    Returns:
        The record of the edit; its `mask_sha256` is the new ETag.

    Raises:
        RequestError: 404 without a prediction, 409 if another mask was saved since, 422 if it is
            no mask of this case.
        OutputError: If it cannot be written.
    """
    require_current_mask(work, case_id, if_match)
    base = model_mask(work, case_id)
    mask = read_mask(file, base, work.options.scan_gib)
    edits = make_folder(work.edits_folder(case_id))
    with scratch_folder(edits / "edit") as aside:
        write_volume(aside / MASK, mask)
        number = _next_number(work, case_id)
        lost = _write_dicom(work, case_id, aside, number)
        with COMMIT:
            allow()
            require_current_mask(work, case_id, if_match, number)
            record = _record(work, case_id, aside, mask, base, who, minutes)
            record = record.model_copy(update={"no_dicom": lost})
            write_json(aside / "edit.json", record.model_dump(mode="json"))
            sync(aside)
            aside.rename(edits / f"{record.number:04d}")
            sync(edits)
    return record


def _write_dicom(work: WorkFolder, case_id: str, aside: Path, number: int) -> str | None:
    """Write DICOM objects of an edit if the scan was DICOM; returns the reason if it fails."""
    from plgg import api

    try:
        with scan_limit(work.options.scan_gib):
            api.write_correction(
                work.case_folder(case_id),
                aside / MASK,
                out=aside,
                number=number,
                scan=_source(work, case_id),
            )
    except (InputError, RequestError) as error:
        return error.what
    return None


def _source(work: WorkFolder, case_id: str) -> Path | None:
    """The scan of an uploaded case; None for others, where `result.json` holds the path."""
    return work.scan(case_id) if work.upload(case_id) is not None else None


def require_current_mask(
    work: WorkFolder, case_id: str, if_match: str, number: int | None = None
) -> None:
    """Check that the client started from the newest mask, and that the next edit has this number.

    Raises:
        RequestError: 409 with the present ETag, if not.
    """
    newest = work.mask_sha256(case_id)
    if if_match != newest or number not in (None, _next_number(work, case_id)):
        raise RequestError(
            409,
            "another mask of this case was saved since you opened it",
            where=case_id,
            remedy="Keep yours, open the newest one and decide between them.",
            headers={"ETag": f'"{newest}"'},
            more={"etag": newest},
        )


def model_mask(work: WorkFolder, case_id: str) -> Volume:
    """The mask as the model predicted it, boolean.

    Raises:
        RequestError: 404, if there is none.
    """
    path = work.case_folder(case_id) / MASK
    if not path.is_file():
        raise not_found("nothing was predicted yet", case_id)
    with scan_limit(work.options.scan_gib):
        mask = read_volume(path)
    return mask.with_data(mask.data > 0)


def read_mask(file: Path, base: Volume, scan_gib: float | None = None) -> Volume:
    """Read a mask from a client as boolean, with the exact affine of the case.

    Raises:
        RequestError: 422, if it is no NIfTI, lies on another grid, or holds other than 0 and 1.
    """
    try:
        with scan_limit(scan_gib):
            found = read_volume(_rename_by_content(file))
    except InputError as error:
        raise RequestError(422, error.what, where="the mask", remedy=error.remedy) from error
    if found.shape != base.shape:
        raise _other_grid(f"has {_sides(found)} voxels, the case {_sides(base)}")
    if not same_grid(found, base, tolerance_mm=_TOLERANCE_MM):
        raise _other_grid("lies elsewhere than the case (another affine)")
    return base.with_data(_binary(found.data))


def _rename_by_content(file: Path) -> Path:
    """Rename a file to the suffix that its first bytes ask for, `.nii.gz` or `.nii`."""
    with file.open("rb") as handle:
        packed = handle.read(2) == GZIP_MAGIC
    named = file.with_name(f"{file.name}{'.nii.gz' if packed else '.nii'}")
    file.rename(named)
    return named


def _sides(volume: Volume) -> str:
    return "×".join(map(str, volume.shape))


def _other_grid(what: str) -> RequestError:
    return RequestError(
        422, what, where="the mask", remedy="Save it on the grid of volume.nii.gz, unresampled."
    )


def _binary(data: NDArray[np.float32]) -> NDArray[np.bool_]:
    inside = data == 1
    if not (inside | (data == 0)).all():
        raise RequestError(
            422,
            "holds values other than 0 and 1",
            where="the mask",
            remedy="Save 1 where there is tumour and 0 elsewhere.",
        )
    return np.asarray(inside, dtype=np.bool_)


def _next_number(work: WorkFolder, case_id: str) -> int:
    """The next free number; a folder with files but without a record counts as taken."""
    found = work.edits_folder(case_id).glob("[0-9]" * 4)
    taken = [int(path.name) for path in found if not path.is_dir() or any(path.iterdir())]
    return max(taken, default=0) + 1


def _record(
    work: WorkFolder,
    case_id: str,
    aside: Path,
    mask: Volume,
    base: Volume,
    who: str,
    minutes: float | None,
) -> EditRecord:
    number = _next_number(work, case_id)
    if number > _MOST_EDITS:
        raise RequestError(409, f"has {_MOST_EDITS} edits, which is the most", where=case_id)
    before, after = (int(one.data.sum()) * one.voxel_volume_ml for one in (base, mask))
    return EditRecord(
        number=number,
        who=who,
        when=now(),
        base_sha256=sha256(work.case_folder(case_id) / MASK),
        replaces_sha256=work.mask_sha256(case_id),
        mask_sha256=sha256(aside / MASK),
        minutes=minutes,
        dice_to_base=round(hard_dice(mask.data, base.data), 6),
        volume_ml=round(after, 4),
        volume_change_ml=round(after - before, 4),
    )
