"""Images, labels and sessions of MONAI Label's clients as cases and edits of the reading room."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, BinaryIO

import pydicom
from fastapi import Request, UploadFile
from fastapi.concurrency import run_in_threadpool

from plgg.core.case_id import case_id_fault, case_id_of, patient_id_fault
from plgg.core.errors import PlggError
from plgg.core.files import make_folder
from plgg.core.folders import scratch_folder
from plgg.core.prediction_files import MASK
from plgg.data.budget import scan_limit
from plgg.data.nifti.image import stem, write_volume
from plgg.serve.edits import model_mask, save_edit
from plgg.serve.errors import RequestError, not_found
from plgg.serve.labels import Tumour, tumour_of
from plgg.serve.records import EditRecord
from plgg.serve.room import Room, require_predicted
from plgg.serve.uploads import Patient, UploadedFile, save_upload
from plgg.serve.views import redraw_thumbnail
from plgg.serve.work import WorkFolder

_LOOK_SECONDS = 0.2
_MOST_TRIES = 3
_COPY_BYTES = 2**20


@dataclass(frozen=True)
class SavedLabel:
    """A label that was saved, and names of segments that were not."""

    edit: EditRecord
    ignored: tuple[str, ...]


def case_of(room: Room, image: str) -> str:
    """Find the case of an image.

    Args:
        room: The reading room.
        image: A case's name; the name of a file or a volume that became one; a SeriesInstanceUID.

    Raises:
        RequestError: 404, if there is none.
    """
    for name in (image, case_id_of(stem(Path(image))) if image else ""):
        if case_id_fault(name) is None and room.work.has_case(name):
            return name
    found = _by_series(room.work, image)
    if found is None:
        raise not_found("there is no such image")
    return found


def _by_series(work: WorkFolder, uid: str) -> str | None:
    """The newest case that was predicted from a DICOM series."""
    if not uid.replace(".", "").isdecimal():
        return None
    found = [path for path in work.cases.glob("*/segmentation.dcm") if _series_of(path) == uid]
    return max(found, key=lambda path: path.stat().st_mtime_ns).parent.name if found else None


@lru_cache(maxsize=4096)
def _series_of(path: Path) -> str | None:
    """The series that a DICOM SEG refers to."""
    with suppress(Exception):
        header = pydicom.dcmread(path, specific_tags=["ReferencedSeriesSequence"])
        return str(header.ReferencedSeriesSequence[0].SeriesInstanceUID)
    return None


def client_of(params: Mapping[str, Any]) -> str:
    """Name of the client; blank if it is not valid."""
    name = str(params.get("client_id") or "").strip()
    return "" if patient_id_fault(name) else name


def keep_image(room: Room, file: UploadFile, image: str) -> str:
    """Save a scan as a case of that name and queue its prediction, if it is not there already.

    Raises:
        RequestError: As `save_upload`.
    """
    name = image or file.filename or ""
    case_id = case_id_of(stem(Path(Path(name).name))) if name else None
    if case_id and room.work.has_case(case_id) and _is_same(room, case_id, file.file):
        return case_id
    return _store_upload(room, [file], case_id)


def keep_session(room: Room, files: Sequence[UploadFile]) -> str:
    """Save a scan as a case named by its hash, if it is not there already.

    Raises:
        RequestError: As `save_upload`.
    """
    if len(files) != 1:
        return _store_upload(room, files, None)
    case_id = f"session-{_digest(files[0].file)[:12]}"
    return case_id if room.work.has_case(case_id) else _store_upload(room, files, case_id)


def _store_upload(room: Room, files: Sequence[UploadFile], case_id: str | None) -> str:
    room.queue.require_room()
    given = [UploadedFile(file.filename or "", file.file) for file in files]
    record = save_upload(room.work, given, Patient(case_id), voxels=room.options.voxels)
    room.queue.add("predict", case=record.case_id)
    return record.case_id


def _is_same(room: Room, case_id: str, file: BinaryIO) -> bool:
    upload = room.work.upload(case_id)
    return upload is not None and upload.digest == _digest(file)


def _digest(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while piece := file.read(_COPY_BYTES):
        digest.update(piece)
    file.seek(0)
    return digest.hexdigest()


async def predicted(room: Room, case_id: str, request: Request) -> None:
    """Wait until a case is predicted; a failed one without a mask is queued again first.

    Raises:
        RequestError: 422 if the scan is refused, 500 if its prediction fails, 499 if the client
            has left.
    """
    case = await run_in_threadpool(room.cases.get, case_id)
    if case.state == "failed" and case.etag is None:
        await run_in_threadpool(room.queue.add, "predict", case=case_id)
    while True:
        case = await run_in_threadpool(room.cases.get, case_id)
        if case.state == "done":
            return
        if case.state not in ("queued", "running"):
            status = 422 if case.state == "refused" else 500
            raise RequestError(status, case.error or "could not be predicted", where=case_id)
        if await request.is_disconnected():
            raise RequestError(499, "the client has left", where=case_id)
        await asyncio.sleep(_LOOK_SECONDS)


def keep_label(
    room: Room, case_id: str, label: UploadFile, params: Mapping[str, Any]
) -> SavedLabel:
    """Save a label as the next edit of its case.

    These clients do not send If-Match. Nothing is lost by that, as every edit is kept.

    Raises:
        RequestError: As `tumour_of` and `save_edit`.
    """
    work = room.work
    with (
        scan_limit(work.options.scan_gib),
        scratch_folder(make_folder(work.uploads) / "label") as aside,
    ):
        found = _received(aside, label, work, case_id, params)
        for left in reversed(range(_MOST_TRIES)):
            write_volume(aside / MASK, found.mask)
            newest = work.mask_sha256(case_id)
            try:
                edit = save_edit(
                    work,
                    case_id,
                    aside / MASK,
                    if_match=newest,
                    who=client_of(params),
                    allow=partial(require_predicted, room, case_id),
                )
                return SavedLabel(edit, found.ignored)
            except RequestError as error:
                if error.status != 409 or not left:
                    raise
    raise not_found("nothing was saved", case_id)


def _received(
    aside: Path, label: UploadFile, work: WorkFolder, case_id: str, params: Mapping[str, Any]
) -> Tumour:
    file = aside / "label"
    with file.open("xb") as out:
        shutil.copyfileobj(label.file, out)
    base = model_mask(work, case_id)
    return tumour_of(file, label.filename or "", base, _segment_names(params))


def _segment_names(params: Mapping[str, Any]) -> list[str]:
    """Names of the segments by their values from 1, as 3D Slicer and OHIF send them.

    The `idx` of 3D Slicer is not used, as it counts segments that are left out, too.
    """
    told = params.get("label_info")
    if not isinstance(told, list):
        return []
    records = [one if isinstance(one, dict) else {} for one in told]
    return [str(one.get("name") or one.get("SegmentLabel") or "") for one in records]


def redraw(room: Room, case_id: str) -> None:
    """Redraw the thumbnail after a save; errors are ignored."""
    with suppress(PlggError, OSError):
        redraw_thumbnail(room.work, case_id)


def session(room: Room, case_id: str) -> dict[str, Any]:
    """The record of a session."""
    case = room.cases.get(case_id)
    return {"name": case_id, "image": f"{case_id}.nii.gz", "state": case.state}
