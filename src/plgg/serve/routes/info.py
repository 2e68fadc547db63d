"""What the server is, and how to log in."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from plgg import __version__
from plgg.data.result import RESEARCH_ONLY
from plgg.serve.cases import PREFIX
from plgg.serve.errors import RequestError
from plgg.serve.models import ModelInfo, current_model, known_models, sequences
from plgg.serve.room import TheRoom, address_of
from plgg.serve.security import COOKIE
from plgg.serve.strategies import STRATEGIES

router = APIRouter(prefix=PREFIX, tags=["server"])


class Limits(BaseModel):
    """Largest upload in bytes, and largest scan in voxels."""

    upload_bytes: int
    voxels: int


class QueueLength(BaseModel):
    """How many jobs wait and run."""

    queued: int
    running: int


class Info(BaseModel):
    """Version, models, limits and queue of the server.

    Attributes:
        model: Model for new predictions.
        models: All models, those of accepted rounds included.
        sequences: Input sequences of the model, the reference first.
        pacs: Whether studies of a PACS can be listed and opened.
        push: Whether cases can be sent there.
        round: Round that the model comes from; None for an initial model.
    """

    version: str
    model: ModelInfo
    models: list[ModelInfo]
    sequences: list[str]
    strategies: list[str]
    limits: Limits
    pacs: bool = False
    push: bool = False
    round: int | None
    rounds_accepted: int
    queue: QueueLength
    research_only: str


class Login(BaseModel):
    """The token that `plgg serve` printed."""

    token: Annotated[str, Field(max_length=500)] = ""


@router.get("/info")
def info(room: TheRoom) -> Info:
    """Version, model, limits and queue."""
    work, model = room.work, current_model(room.work)
    return Info(
        version=__version__,
        model=model,
        models=known_models(work),
        sequences=sequences(work),
        strategies=list(STRATEGIES),
        limits=Limits(upload_bytes=room.options.upload_bytes, voxels=room.options.voxels),
        pacs=work.pacs is not None,
        push=work.pacs is not None and work.push,
        round=model.round,
        rounds_accepted=len(list(work.accepted_rounds())),
        queue=QueueLength(queued=room.queue.count("queued"), running=room.queue.count("running")),
        research_only=" ".join(filter(None, (RESEARCH_ONLY, model.about))),
    )


@router.post("/login", status_code=204)
def login(asked: Login, request: Request, room: TheRoom) -> Response:
    """Trade the token for a cookie that no script can read."""
    if not room.security.accepts(asked.token):
        raise RequestError(
            401, "the token is wrong", remedy="Open the link that plgg serve prints."
        )
    room.audit.write("login", address=address_of(request))
    response = Response(status_code=204)
    response.set_cookie(COOKIE, room.security.cookie, httponly=True, samesite="strict", path="/")
    return response
