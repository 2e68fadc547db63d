"""Saving a corrected mask."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

from fastapi import APIRouter, BackgroundTasks, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from pydantic import BaseModel

from plgg.core.errors import PlggError
from plgg.core.files import make_folder
from plgg.core.folders import scratch_folder
from plgg.serve.cases import PREFIX
from plgg.serve.edits import require_current_mask, save_edit
from plgg.serve.errors import RequestError
from plgg.serve.room import Room, TheRoom, address_of, minutes_of, require_predicted, user_of
from plgg.serve.views import get_or_make_view, redraw_thumbnail

router = APIRouter(prefix=PREFIX, tags=["masks"])
_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    },
    "parameters": [
        {
            "name": name,
            "in": "header",
            "required": name == "If-Match",
            "schema": {"type": "string"},
            "description": text,
        }
        for name, text in (
            ("If-Match", "ETag of the mask that you began with."),
            ("X-Plgg-Minutes", "Minutes that you spent."),
            ("X-Plgg-User", "Who you are."),
        )
    ],
}


class Saved(BaseModel):
    """What was saved.

    Attributes:
        edit: Its number.
        etag: The new one, for the next If-Match.
    """

    edit: int
    etag: str
    volume_ml: float
    volume_change_ml: float
    dice_to_base: float


@router.put("/cases/{case_id}/mask", status_code=201, openapi_extra=_BODY)
async def save(
    case_id: str, request: Request, room: TheRoom, response: Response, later: BackgroundTasks
) -> Saved:
    """Save a corrected mask, NIfTI of 0 and 1 on the case's grid; 409 if another was saved since.

    The model's mask and earlier edits stay.
    """
    who, minutes, etag = user_of(request), minutes_of(request), if_match(request)
    await run_in_threadpool(_require_savable, room, case_id, etag)
    with scratch_folder(make_folder(room.work.uploads) / "mask") as aside:
        file = aside / "mask"
        await _received(request, file, await run_in_threadpool(_most_bytes, room, case_id))
        record = await run_in_threadpool(
            save_edit,
            room.work,
            case_id,
            file,
            if_match=etag,
            who=who,
            minutes=minutes,
            allow=partial(require_predicted, room, case_id),
        )
    room.audit.write("save", who=who, address=address_of(request), case=case_id, edit=record.number)
    later.add_task(_redraw, room, case_id)
    response.headers["ETag"] = f'"{record.mask_sha256}"'
    response.headers["Location"] = f"{PREFIX}/cases/{case_id}/mask.nii.gz?edit={record.number}"
    return Saved(
        edit=record.number,
        etag=record.mask_sha256,
        volume_ml=record.volume_ml,
        volume_change_ml=record.volume_change_ml,
        dice_to_base=record.dice_to_base,
    )


def if_match(request: Request) -> str:
    """The SHA-256 in `If-Match`.

    Raises:
        RequestError: 428, if there is none.
    """
    said = request.headers.get("if-match", "").strip().removeprefix("W/").strip('"')
    if not said or said == "*":
        raise RequestError(
            428,
            "does not say which mask you began with",
            where="If-Match",
            remedy="Send the ETag of mask.nii.gz.",
        )
    return said


def _require_savable(room: Room, case_id: str, etag: str) -> None:
    """Check early, before the client sends a mask that would be refused."""
    room.work.require_case(case_id)
    require_predicted(room, case_id)
    require_current_mask(room.work, case_id, etag)


def _most_bytes(room: Room, case_id: str) -> int:
    """Largest size of a mask of the case: 8 bytes per voxel, and a long header."""
    return 8 * math.prod(get_or_make_view(room.work, case_id).shape) + 2**20


async def _received(request: Request, file: Path, most_bytes: int) -> None:
    n_bytes = 0
    with file.open("xb") as out:
        async for piece in request.stream():
            n_bytes += len(piece)
            if n_bytes > most_bytes:
                raise RequestError(
                    413, "is larger than any mask of this case could be", where="the mask"
                )
            out.write(piece)


def _redraw(room: Room, case_id: str) -> None:
    """Redraw the thumbnail after a save; errors are ignored."""
    try:
        redraw_thumbnail(room.work, case_id)
    except (PlggError, OSError):
        return
