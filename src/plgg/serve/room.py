"""`Room`: the state of an open reading room; routes get it by the argument `room: TheRoom`."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import unquote

from fastapi import Depends, Request

from plgg.core.case_id import patient_id_fault
from plgg.core.errors import PlggError
from plgg.core.folders import clear_leftovers
from plgg.core.prediction_files import RESULT
from plgg.serve.audit import AuditLog
from plgg.serve.cases import CaseList
from plgg.serve.errors import RequestError
from plgg.serve.options import ServeOptions
from plgg.serve.queue import JobQueue
from plgg.serve.runner import Runner
from plgg.serve.security import Security
from plgg.serve.work import WorkFolder

log = logging.getLogger(__name__)
_MOST_MINUTES = 1440.0


@dataclass(frozen=True)
class Room:
    """A reading room that is open.

    Attributes:
        options: Its options.
        work: Its work folder.
        queue: Its jobs.
        runner: Runs the jobs.
        cases: The work list.
        audit: The audit log.
        security: Access control.
    """

    options: ServeOptions
    work: WorkFolder
    queue: JobQueue
    runner: Runner
    cases: CaseList
    audit: AuditLog
    security: Security


def open_room(options: ServeOptions) -> Room:
    """Make a room; its job runner is not started yet.

    Raises:
        PlggError: If a model or the store cannot be used, or the options are not safe.
    """
    options.require_safe()
    work = options.work_folder()
    queue = JobQueue(work.jobs, most=options.most_queued)
    audit = AuditLog(work.root / "audit.jsonl")
    return Room(
        options,
        work,
        queue,
        Runner(queue, work, round_minutes=options.round_minutes, audit=audit),
        CaseList(work, queue),
        audit,
        Security(options.token, options.host),
    )


def recover(room: Room) -> None:
    """Make the work folder, or recover it after a crash; this process must hold its lock.

    Partial files are removed. Uploads and rounds that were saved but not queued are queued.

    Raises:
        OutputError: If the folder cannot be written to.
    """
    work, queue = room.work, room.queue
    work.make()
    room.audit.mend()
    queue.load()
    for case_id in work.case_ids():
        try:
            _recover_case(room, case_id)
        except PlggError as error:  # a symlink to another place; shown in the work list
            log.warning("%s", error)
    for number in work.round_numbers():
        if queue.of_round(number) is None and work.comparison(number) is None:
            _queue_again(room, number=number)


def _recover_case(room: Room, case_id: str) -> None:
    """Remove partial edits and views of a case, and queue it if it was not."""
    work = room.work
    clear_leftovers(work.edits_folder(case_id))
    clear_leftovers(work.view_folder(case_id))
    predicted = (work.case_folder(case_id) / RESULT).is_file()
    if not predicted and room.queue.of_case(case_id) is None:
        _queue_again(room, case=case_id)


def _queue_again(room: Room, *, case: str | None = None, number: int | None = None) -> None:
    try:
        room.queue.add("predict" if case else "round", case=case, number=number)
    except PlggError as error:
        log.warning("%s", error)


def require_predicted(room: Room, case_id: str) -> None:
    """Check that no prediction of a case is queued or running, which would replace the mask.

    Raises:
        RequestError: 409, if one is queued or running.
    """
    case = room.cases.get(case_id)
    if case.state in ("queued", "running"):
        raise RequestError(
            409,
            "is being predicted",
            where=case_id,
            remedy="Wait for it.",
            more={"etag": case.etag},
        )


def the_room(request: Request) -> Room:
    """The room of a request."""
    room: Room = request.app.state.room
    return room


TheRoom = Annotated[Room, Depends(the_room)]


def user_of(request: Request) -> str:
    """Name of the user, from the header `X-Plgg-User`, which may be percent-encoded.

    Raises:
        RequestError: 422, if it is not a valid name.
    """
    name = unquote(request.headers.get("x-plgg-user", "")).strip()
    fault = patient_id_fault(name)
    if fault:
        raise RequestError(422, f"the name {fault}", where="X-Plgg-User")
    return name


def minutes_of(request: Request) -> float | None:
    """Minutes spent, from the header `X-Plgg-Minutes`; None without it.

    Raises:
        RequestError: 422, if that is no number from 0 to 1440.
    """
    said = request.headers.get("x-plgg-minutes")
    if said is None or not said.strip():
        return None
    try:
        minutes = float(said)
    except ValueError:
        minutes = math.nan
    if not 0.0 <= minutes <= _MOST_MINUTES:
        raise RequestError(422, "is no number from 0 to 1440", where="X-Plgg-Minutes")
    return minutes


def address_of(request: Request) -> str:
    """The address of the client, for the audit log."""
    return request.client.host if request.client else ""
