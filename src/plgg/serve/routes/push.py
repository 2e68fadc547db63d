"""Sending a case's DICOM objects to the PACS that the room was opened with."""

from __future__ import annotations

import threading
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from plgg.serve.cases import PREFIX
from plgg.serve.errors import RequestError
from plgg.serve.push import newest_edit, objects_to_send, require_known, require_push
from plgg.serve.records import Job
from plgg.serve.room import Room, TheRoom, address_of, user_of

router = APIRouter(prefix=PREFIX, tags=["push"])
_PUSHING = threading.Lock()
_REFUSALS: dict[int | str, dict[str, Any]] = {
    403: {"description": "The room was opened without --push."},
    404: {"description": "There is no PACS, no such case or no such mask."},
    409: {"description": "The case is being predicted, or no DICOM object could be made of it."},
    429: {"description": "Too many jobs are waiting."},
}


class PushRequest(BaseModel):
    """Which mask's objects are sent: `edit` is the number of a correction, 0 the model's own.

    Left out, the newest correction's are sent, or the model's where nothing was corrected.
    """

    model_config = ConfigDict(extra="forbid")

    edit: Annotated[int, Field(ge=0, le=9999)] | None = None


class PushQueued(BaseModel):
    """What is being sent.

    Attributes:
        edit: Number of the correction; 0 is the model's mask.
        objects: Names of the files.
        job: Job that sends them; its `outcome` says how many were sent.
    """

    edit: int
    objects: list[str]
    job: Job


@router.post("/cases/{case_id}/push", status_code=202, responses=_REFUSALS)
def push(
    case_id: str,
    request: Request,
    room: TheRoom,
    response: Response,
    asked: PushRequest | None = None,
) -> PushQueued:
    """Send the segmentation and the measurements of a case to the PACS, by a job.

    Allowed where the server was started with --push. What is on the PACS already is not sent again.
    While the same objects are being sent, that job is returned.
    """
    require_push(room.work)
    require_known(room.work, case_id)
    who, address = user_of(request), address_of(request)
    with _PUSHING:
        _require_idle(room, case_id)
        chosen = asked.edit if asked else None
        edit = newest_edit(room.work, case_id) if chosen is None else chosen
        names = [path.name for path in objects_to_send(room.work, case_id, edit)]
        job = room.queue.of_push(case_id)
        if job is None or job.finished or job.edit != edit:
            room.queue.require_room()
            room.audit.write("push", who=who, address=address, case=case_id, edit=edit)
            job = room.queue.add("push", case=case_id, edit=edit)
    response.headers["Location"] = f"{PREFIX}/jobs/{job.id}"
    return PushQueued(edit=edit, objects=names, job=job)


def _require_idle(room: Room, case_id: str) -> None:
    """Check that no prediction of the case is queued or running."""
    job = room.queue.of_case(case_id)
    if job is not None and not job.finished:
        raise RequestError(
            409, f"is {job.state}", where=case_id, remedy="Send it once it is predicted."
        )
