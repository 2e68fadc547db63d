"""MONAI Label's protocol, as far as 3D Slicer, OHIF and its own client use it.

They log in by `/auth/token`, any name and the server's token as the password. An image is a case;
its label tagged `original` is the model's mask, `final` the newest correction. Whatever they save
becomes the next edit of the case; nothing is overwritten or deleted.

    app.include_router(monai_label.router)
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Form, Query, Request, UploadFile
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import PlainTextResponse, Response

from plgg.core.folders import scratch_folder
from plgg.pacs.address import is_loopback
from plgg.serve import monai_cases as images
from plgg.serve import monai_records as records
from plgg.serve.answers import Json, file_answer
from plgg.serve.errors import RequestError, not_found
from plgg.serve.mask_formats import (
    centroids,
    dicom_seg,
    exact_format,
    mask_file,
    requested_format,
    scan_file,
)
from plgg.serve.room import Room, TheRoom, address_of
from plgg.serve.routes.rounds import start
from plgg.serve.strategies import STRATEGIES, next_case
from plgg.serve.views import get_or_make_view

router = APIRouter(tags=["MONAI Label"])
_BYTES = "application/octet-stream"
_BOUNDARY = "plgg-7d2a4c1e9b604f0e"
Params = Annotated[str, Form()]
Options = Annotated[dict[str, Any] | None, Body()]
Tag = Literal["", "final", "original"]


@router.get("/auth/", include_in_schema=False)
def auth(room: TheRoom) -> Json:
    """Whether a token is wanted."""
    return Json({"enabled": room.security.token is not None, "client_id": "plgg", "realm": None})


@router.post("/auth/token", include_in_schema=False)
def auth_token(room: TheRoom, request: Request, password: Annotated[str, Form()] = "") -> Json:
    """Log in: any name, and the server's token as the password."""
    if not room.security.accepts(password):
        raise RequestError(401, "the password is not the server's token", where="password")
    if room.security.token is None:
        return Json({"access_token": None, "token_type": None})
    room.audit.write("login", address=address_of(request))
    return Json({"access_token": password, "token_type": "bearer"})


@router.get("/auth/token/valid", include_in_schema=False)
def auth_token_valid() -> Json:
    """Confirm a token: requests without it do not get here."""
    return Json({"username": "plgg", "roles": []})


@router.get("/info/")
def info(room: TheRoom) -> Json:
    """Models, strategies, and how far the work is."""
    return Json(records.server_record(room))


@router.get("/datastore/")
def datastore(room: TheRoom, output: Literal["stats", "all", "train"] = "stats") -> Json:
    """The cases."""
    cases = room.cases.all()
    if output == "train":
        return Json([{"image": case.id, "label": case.id} for case in cases if case.edited])
    told = records.store_objects if output == "all" else records.store_status
    return Json(told(cases))


@router.head("/datastore/image", include_in_schema=False)
@router.get("/datastore/image")
def image(image: str, request: Request, room: TheRoom) -> Response:
    """The scan of a case on the grid of its masks: NIfTI, or NRRD where it is sheared."""
    case_id = images.case_of(room, image)
    path = scan_file(room.work, case_id)
    room.audit.write("view", address=address_of(request), case=case_id)
    name = f"{case_id}{''.join(path.suffixes)}"
    return file_answer(request, path, _BYTES, headers=_named(name))


@router.get("/datastore/image/info")
def image_info(image: str, room: TheRoom) -> Json:
    """What is known of a scan."""
    return Json(records.image_info(room.cases.get(images.case_of(room, image))))


@router.put("/datastore/", include_in_schema=False)
@router.put("/datastore/image")
def add_image(
    request: Request, room: TheRoom, file: UploadFile, image: str = "", params: Params = "{}"
) -> Json:
    """Upload a scan; it is predicted by a job."""
    who = images.client_of(_parsed(params))
    case_id = images.keep_image(room, file, image)
    room.audit.write("upload", who=who, address=address_of(request), case=case_id)
    return Json({"image": case_id})


@router.head("/datastore/label", include_in_schema=False)
@router.get("/datastore/label")
def label(label: str, request: Request, room: TheRoom, tag: Tag = "final") -> Response:
    """A mask: the model's (`original`) or the newest correction (`final`)."""
    case_id = images.case_of(room, label)
    if tag != "original" and not room.cases.get(case_id).edited:
        raise not_found("was not corrected yet", case_id)
    path = room.work.mask(case_id, 0 if tag == "original" else None)
    return file_answer(request, path, _BYTES, headers=_named(f"{case_id}.nii.gz"))


@router.get("/datastore/label/info")
def label_info(label: str, room: TheRoom) -> Json:
    """What is known of a mask."""
    return Json(records.label_info(room.cases.get(images.case_of(room, label))))


@router.put("/datastore/label")
async def save_label(
    request: Request,
    room: TheRoom,
    image: str,
    label: UploadFile,
    params: Params = "{}",
    tag: Tag = "final",
) -> Json:
    """Save a corrected mask as the next edit of its case."""
    if tag == "original":
        raise RequestError(409, "the model's own mask is never replaced", where="tag")
    case_id, said = images.case_of(room, image), _parsed(params)
    await images.predicted(room, case_id, request)
    saved = await run_in_threadpool(images.keep_label, room, case_id, label, said)
    edit = saved.edit
    room.audit.write(
        "save", who=edit.who, address=address_of(request), case=case_id, edit=edit.number
    )
    await run_in_threadpool(images.redraw, room, case_id)
    told = {"image": case_id, "label": case_id, "tag": "final", "edit": edit.number}
    return Json({**told, "volume_ml": edit.volume_ml, "ignored_segments": [*saved.ignored]})


@router.post("/infer/{model}")
async def infer(
    model: str,
    request: Request,
    room: TheRoom,
    image: str = "",
    session_id: str = "",
    params: Params = "{}",
    file: UploadFile | None = None,
    output: Literal["image", "json", "all", "dicom_seg"] = "all",
) -> Response:
    """The mask of a case; waits for the prediction if there is none yet.

    A label in the request, such as scribbles, is ignored.
    """
    said = _parsed(params)
    if model != records.MODEL:
        raise not_found(f"there is no model {model!a}, only {records.MODEL}")
    if file is not None:
        case_id = await run_in_threadpool(images.keep_session, room, [file])
    else:
        case_id = images.case_of(room, session_id or image)
    await images.predicted(room, case_id, request)
    room.audit.write("view", who=images.client_of(said), address=address_of(request), case=case_id)
    return await run_in_threadpool(_inferred, room, case_id, said, output)


def _inferred(room: Room, case_id: str, said: dict[str, Any], output: str) -> Response:
    asked = exact_format(requested_format(said), get_or_make_view(room.work, case_id))
    own = said.get("start_from") == records.MODELS_OWN
    path = room.work.mask(case_id, 0 if own else None)
    if output == "dicom_seg":
        with scratch_folder(room.work.uploads / "seg") as aside:
            raw = dicom_seg(room.work, case_id, path, aside / "segmentation.dcm")
        return Response(raw, media_type="application/dicom", headers=_named(f"{case_id}.dcm"))
    told = {"label_names": records.LABELS, "centroids": centroids(path), "image": case_id}
    if output == "json":
        return Json(told)
    name, raw = f"{case_id}{asked.ending}", mask_file(path, asked)
    if output == "image":
        return Response(raw, media_type=_BYTES, headers=_named(name))
    return _multipart(told, name, raw)


def _multipart(told: dict[str, Any], name: str, raw: bytes) -> Response:
    """Parameters and image in one response, with exactly the headers that OHIF expects."""
    parts = (
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="params"\r\n'
        f"Content-Type: application/json\r\n\r\n{json.dumps(told)}\r\n"
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n'
        f"Content-Type: {_BYTES}\r\n\r\n"
    )
    body = parts.encode() + raw + f"\r\n--{_BOUNDARY}--\r\n".encode()
    return Response(body, media_type=f"multipart/form-data; boundary={_BOUNDARY}")


def _named(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}


def _parsed(params: str) -> dict[str, Any]:
    try:
        found = json.loads(params or "{}")
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise RequestError(422, "is no JSON object", where="params")
    return found


@router.post("/activelearning/{strategy}")
def next_sample(strategy: str, request: Request, room: TheRoom, params: Options = None) -> Json:
    """The case to look at next; an empty record where none is left."""
    if strategy not in STRATEGIES:
        raise RequestError(
            422, "there is no such strategy", where="strategy", remedy=f"Of: {[*STRATEGIES]}."
        )
    found = next_case(room.cases.all(), strategy)
    if found.case is None:
        return Json({})
    get_or_make_view(room.work, found.case)
    who, address = images.client_of(params or {}), address_of(request)
    room.audit.write("next", who=who, address=address, case=found.case)
    case = room.cases.get(found.case)
    return Json(records.sample_record(room, case, strategy, is_near=is_loopback(address)))


@router.get("/train/")
def train_status(
    room: TheRoom,
    all_tasks: Annotated[bool, Query(alias="all")] = False,
    check_if_running: bool = False,
) -> Json:
    """The newest round as a task; 404 where there is none, or none under way."""
    if all_tasks:
        jobs = [job for job in room.queue.all() if job.kind == "round"]
        return Json([records.task_record(room, job) for job in jobs])
    job = records.newest_round(room, under_way=check_if_running)
    if job is None:
        raise RequestError(404, f"no training is {'under way' if check_if_running else 'known'}")
    return Json(records.task_record(room, job))


@router.post("/train/", include_in_schema=False)
def train_all(room: TheRoom, request: Request, params: Options = None) -> Json:
    """Start a round of learning, by MONAI Label's older path."""
    return Json({records.MODEL: {"result": _train(room, request, params), "detail": None}})


@router.post("/train/{model}")
def train(model: str, room: TheRoom, request: Request, params: Options = None) -> Json:
    """Start a round of learning from all corrected cases."""
    if model != records.MODEL:
        raise not_found(f"there is no model {model!a}, only {records.MODEL}")
    return Json(_train(room, request, params))


def _train(room: Room, request: Request, params: Options) -> records.Record:
    queued = start(room)
    who = images.client_of(params or {})
    room.audit.write("round", who=who, address=address_of(request), round=queued.round)
    return records.task_record(room, queued.job)


@router.delete("/train/")
def train_stop(room: TheRoom, request: Request) -> Json:
    """Cancel the round that is under way; null where there is none."""
    job = records.newest_round(room, under_way=True)
    if job is None:
        return Json(None)
    ended = room.queue.cancel(job.id)
    room.audit.write("cancel", address=address_of(request), job=job.id)
    return Json(records.task_record(room, ended))


@router.get("/logs/")
def logs(room: TheRoom, lines: Annotated[int, Query(ge=0, le=100_000)] = 300) -> Response:
    """The newest jobs, a line each."""
    return PlainTextResponse(records.log_text(room.queue.all(), lines))


@router.put("/session/")
def create_session(request: Request, room: TheRoom, files: list[UploadFile]) -> Json:
    """Upload a scan for `infer` alone: a case named after its bytes."""
    case_id = images.keep_session(room, files)
    room.audit.write("upload", address=address_of(request), case=case_id)
    return Json({"session_id": case_id, "session_info": images.session(room, case_id)})


@router.get("/session/{session_id}")
def get_session(session_id: str, room: TheRoom) -> Json:
    """A session that is there."""
    return Json(images.session(room, images.case_of(room, session_id)))


@router.delete("/session/{session_id}")
def remove_session(session_id: str, room: TheRoom) -> Json:
    """The end of a session; its case stays."""
    return Json(images.session(room, images.case_of(room, session_id)))
