"""Cases: the work list, uploads, images, slices and the next case to review."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from pydantic import BaseModel
from starlette.datastructures import FormData, UploadFile

from plgg.config.base import SEQUENCES
from plgg.core.prediction_files import MASK, REPORT
from plgg.data.nifti.image import read_volume
from plgg.serve.answers import file_answer
from plgg.serve.cases import PREFIX, Case, CaseDetails
from plgg.serve.edits import COMMIT
from plgg.serve.errors import RequestError, not_found
from plgg.serve.pictures import Plane, slice_png
from plgg.serve.push import newest_edit
from plgg.serve.records import Job
from plgg.serve.room import Room, TheRoom, address_of, user_of
from plgg.serve.strategies import STRATEGIES, NextCase, next_case
from plgg.serve.uploads import MOST_FILES, Patient, UploadedFile, save_upload
from plgg.serve.views import THUMBNAIL, VOLUME, get_or_make_view, upright_case

router = APIRouter(prefix=PREFIX, tags=["cases"])
_NIFTI = "application/octet-stream"
# The report's own policy names its scripts by their hashes; a sandbox keeps them from this server.
_REPORT = {
    "Content-Security-Policy": "sandbox allow-scripts; default-src 'none'; img-src data:; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'; frame-ancestors 'self'",
    "X-Frame-Options": "SAMEORIGIN",
}
_FILE = {"type": "string", "format": "binary"}
_FIELDS: dict[str, Any] = {
    "files": {
        "type": "array",
        "items": _FILE,
        "description": "One NIfTI file, one zip, or the files of a DICOM folder.",
    },
    "id": {"type": "string", "description": "Of the case; by default after the file."},
    "age": {"type": "number", "description": "Years, at the scan."},
    "sex": {"type": "string", "enum": ["F", "M"]},
}
_FIELDS.update(dict.fromkeys(SEQUENCES, _FILE))
_SCHEMA = {"type": "object", "required": ["files"], "properties": _FIELDS}
_FORM = {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _SCHEMA}}}}


class CaseTable(BaseModel):
    """The work list."""

    cases: list[Case]


class Queued(BaseModel):
    """What was queued."""

    case: Case
    job: Job


@router.get("/cases")
def cases(room: TheRoom) -> CaseTable:
    """The work list."""
    return CaseTable(cases=room.cases.all())


@router.get("/cases/{case_id}")
def case(case_id: str, room: TheRoom) -> CaseDetails:
    """Everything of one case."""
    return room.cases.details(case_id)


@router.post("/cases", status_code=202, openapi_extra=_FORM)
async def upload(request: Request, room: TheRoom, response: Response) -> Queued:
    """Upload the scan of one patient; it is predicted by a job."""
    who = user_of(request)
    room.queue.require_room()
    async with request.form(max_files=MOST_FILES, max_fields=32, max_part_size=2**16) as form:
        case_id = await run_in_threadpool(_keep, room, form)
    room.audit.write("upload", who=who, address=address_of(request), case=case_id)
    queued = await run_in_threadpool(_predict, room, case_id)
    response.headers["Location"] = f"{PREFIX}/cases/{case_id}"
    return queued


def _keep(room: Room, form: FormData) -> str:
    given = _files(form, "files")
    others: dict[str, UploadedFile] = {
        name: file for name in SEQUENCES for file in _files(form, name)[:1]
    }
    record = save_upload(
        room.work, given, _patient(form), others=others, voxels=room.options.voxels
    )
    return record.case_id


def _files(form: FormData, field: str) -> list[UploadedFile]:
    found = [value for value in form.getlist(field) if isinstance(value, UploadFile)]
    return [UploadedFile(value.filename or "", value.file) for value in found]


def _patient(form: FormData) -> Patient:
    """Patient data from the form.

    Raises:
        RequestError: 422, if age or sex is not valid.
    """
    said = {name: str(form.get(name) or "").strip() for name in ("id", "age", "sex")}
    age = _age(said["age"]) if said["age"] else None
    sex = said["sex"].upper()
    if sex not in ("", "F", "M"):
        raise RequestError(422, "is neither F nor M", where="sex")
    named: Literal["F", "M"] | None = "F" if sex == "F" else "M" if sex == "M" else None
    return Patient(said["id"] or None, age, named)


def _age(said: str) -> float:
    try:
        age = float(said)
    except ValueError:
        age = -1.0
    if not 0.0 <= age < 150.0:
        raise RequestError(422, "is no number of years from 0 to 149", where="age")
    return age


def _predict(room: Room, case_id: str) -> Queued:
    job = room.queue.add("predict", case=case_id)
    return Queued(case=room.cases.get(case_id), job=job)


@router.post("/cases/{case_id}/predict", status_code=202)
def predict(case_id: str, request: Request, room: TheRoom) -> Queued:
    """Predict a case again, with the model that answers now; not one that was corrected."""
    who = user_of(request)
    with COMMIT:  # No edit is saved between the check and the queuing.
        _require_predictable(room, case_id)
        room.audit.write("predict", who=who, address=address_of(request), case=case_id)
        return _predict(room, case_id)


def _require_predictable(room: Room, case_id: str) -> None:
    found = room.cases.get(case_id)
    if found.state in ("queued", "running"):
        raise RequestError(409, f"is {found.state} already", where=case_id)
    if found.edited:
        raise RequestError(
            409,
            "was corrected, and its corrections belong to the mask that is there",
            where=case_id,
            remedy="Upload the scan under another id.",
        )
    if room.work.upload(case_id) is None:
        raise not_found("the scan is not at hand", case_id)


@router.get("/cases/{case_id}/volume.nii.gz")
def volume(case_id: str, request: Request, room: TheRoom) -> Response:
    """The scan, on the grid of the mask."""
    view = get_or_make_view(room.work, case_id)
    room.audit.write("view", who=user_of(request), address=address_of(request), case=case_id)
    tag = f"volume-{view.mask_sha256}"
    return file_answer(request, room.work.view_folder(case_id) / VOLUME, _NIFTI, etag=tag)


@router.get("/cases/{case_id}/mask.nii.gz")
def mask(
    case_id: str,
    request: Request,
    room: TheRoom,
    edit: Annotated[int | None, Query(ge=0, le=9999)] = None,
) -> Response:
    """A mask: the newest one, or that of an edit; 0 is the model's. ETag is its SHA-256."""
    room.work.require_case(case_id)
    # Looked up once, so that a save in between cannot give its ETag to the mask before it.
    number = newest_edit(room.work, case_id) if edit is None else edit
    path = room.work.mask(case_id, number)
    return file_answer(request, path, _NIFTI, etag=_mask_tag(room, case_id, number))


def _mask_tag(room: Room, case_id: str, edit: int) -> str:
    if edit == 0:
        result = room.work.result(case_id)
        return result.files[MASK] if result else ""
    return next(one.mask_sha256 for one in room.work.edits(case_id) if one.number == edit)


@router.get("/cases/{case_id}/{name}.nii.gz")
def model_map(
    case_id: str, name: Literal["probability", "uncertainty"], request: Request, room: TheRoom
) -> Response:
    """A map of the model: the probability of tumour, or its entropy in bits."""
    room.work.require_case(case_id)
    path = room.work.case_folder(case_id) / f"{name}.nii.gz"
    if not path.is_file():
        raise not_found("nothing was predicted yet", case_id)
    return file_answer(request, path, _NIFTI)


@router.get("/cases/{case_id}/thumbnail.png")
def thumbnail(case_id: str, request: Request, room: TheRoom) -> Response:
    """A small picture where the tumour is largest."""
    room.work.require_case(case_id)
    get_or_make_view(room.work, case_id)
    return file_answer(request, room.work.view_folder(case_id) / THUMBNAIL, "image/png")


@router.get("/cases/{case_id}/slice.png")
def slice_picture(
    case_id: str,
    room: TheRoom,
    plane: Plane = "axial",
    index: Annotated[int, Query(ge=0, le=100_000)] = 0,
    mask: Annotated[int, Query(ge=0, le=1)] = 1,
) -> Response:
    """One slice in radiological view, with the outline of the newest mask or without."""
    room.work.require_case(case_id)
    seen = upright_case(room.work, case_id)
    inside = None
    if mask:
        inside = seen.turned(read_volume(room.work.mask(case_id)).data > 0)
    try:
        picture = slice_png(seen, inside, plane, index)
    except IndexError:
        raise not_found(f"there is no {plane} slice {index}", case_id) from None
    return Response(picture, media_type="image/png")


@router.get("/cases/{case_id}/report.html")
def report(case_id: str, request: Request, room: TheRoom) -> Response:
    """The page that `plgg predict` drew."""
    room.work.require_case(case_id)
    path = room.work.case_folder(case_id) / REPORT
    if not path.is_file():
        raise not_found("there is no report", case_id)
    room.audit.write("report", who=user_of(request), address=address_of(request), case=case_id)
    return file_answer(request, path, "text/html; charset=utf-8", headers=_REPORT)


@router.post("/next")
def look_at_next(
    room: TheRoom,
    strategy: str = "entropy",
    skip: Annotated[list[str] | None, Query(max_length=1000)] = None,
) -> NextCase:
    """The case that teaches the model most, of those not yet corrected; `skip` comes last."""
    if strategy not in STRATEGIES:
        raise RequestError(
            422, "there is no such strategy", where="strategy", remedy=f"Of: {[*STRATEGIES]}."
        )
    return next_case(room.cases.all(), strategy, but=skip or ())
