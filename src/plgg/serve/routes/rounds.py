"""Rounds of learning from corrections."""

from __future__ import annotations

import threading
from typing import Annotated, Any

from fastapi import APIRouter, Body, Request
from pydantic import BaseModel, Field

from plgg.core.case_id import CaseId
from plgg.core.files import make_folder, write_json
from plgg.serve.cases import PREFIX
from plgg.serve.errors import RequestError
from plgg.serve.models import current_model
from plgg.serve.records import Job, JobState, RoundRecord, now
from plgg.serve.room import Room, TheRoom, address_of, user_of

router = APIRouter(prefix=PREFIX, tags=["rounds"])
_NUMBER = threading.Lock()
_MOST_ROUNDS = 999


class RoundAsked(BaseModel):
    """Which corrected cases to learn from; all if None."""

    cases: Annotated[list[CaseId], Field(max_length=10_000)] | None = None


class Round(BaseModel):
    """A round.

    Attributes:
        accepted: Whether its model is used from then on; None until it has ended.
        comparison: Scores before and after, on patients that no round is trained on.
    """

    number: int
    state: JobState
    accepted: bool | None = None
    created: str
    model: str = ""
    job: str | None = None
    error: str | None = None
    comparison: dict[str, Any] | None = None


class RoundTable(BaseModel):
    """All rounds."""

    rounds: list[Round]


class RoundQueued(BaseModel):
    """What was queued."""

    round: int
    job: Job


@router.get("/rounds")
def rounds(room: TheRoom) -> RoundTable:
    """All rounds, oldest first."""
    return RoundTable(rounds=[_round(room, number) for number in room.work.round_numbers()])


@router.get("/rounds/{number}")
def one_round(number: int, room: TheRoom) -> Round:
    """One round."""
    return _round(room, number)


def _round(room: Room, number: int) -> Round:
    record = room.work.round_record(number)
    job = room.queue.of_round(number)
    comparison = room.work.comparison(number)
    accepted = comparison.get("accepted") if comparison else None
    return Round(
        number=number,
        state=job.state if job else "done" if comparison else "failed",
        accepted=accepted if isinstance(accepted, bool) else None,
        created=record.created,
        model=record.model,
        job=job.id if job else None,
        error=job.error if job else None,
        comparison=comparison,
    )


@router.post("/rounds", status_code=202)
def start_round(
    request: Request, room: TheRoom, asked: Annotated[RoundAsked | None, Body()] = None
) -> RoundQueued:
    """Learn from the corrected cases; the new model answers if it is not worse."""
    queued = start(room, asked.cases if asked else None)
    room.audit.write("round", who=user_of(request), address=address_of(request), round=queued.round)
    return queued


def start(room: Room, cases: list[str] | None = None) -> RoundQueued:
    """Queue a round.

    Args:
        room: The reading room.
        cases: Corrected cases to learn from; all if None.

    Raises:
        RequestError: 409 if one is under way or nothing was corrected, 422 if a case was not.
    """
    corrected = room.work.corrected()
    if not corrected:
        raise RequestError(
            409, "no case was corrected yet", remedy="Correct some masks and save them first."
        )
    strange = [case for case in cases or () if case not in corrected]
    if strange:
        raise RequestError(422, "was not corrected", where=strange[0])
    with _NUMBER:
        _require_idle(room)
        number = max(room.work.round_numbers(), default=0) + 1
        if number > _MOST_ROUNDS:
            raise RequestError(409, f"{_MOST_ROUNDS} rounds are the most")
        record = RoundRecord(
            number=number,
            created=now(),
            cases=None if cases is None else tuple(cases),
            model=current_model(room.work).name,
        )
        room.queue.require_room()
        folder = make_folder(room.work.round_folder(number))
        write_json(folder / "round.json", record.model_dump(mode="json"))
        return RoundQueued(round=number, job=room.queue.add("round", number=number))


def _require_idle(room: Room) -> None:
    under_way = [job for job in room.queue.all() if job.kind == "round" and not job.finished]
    if under_way:
        raise RequestError(
            409,
            f"round {under_way[0].round} is under way",
            remedy="Wait for it, or cancel its job.",
        )
