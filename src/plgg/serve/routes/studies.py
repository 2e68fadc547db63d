"""Studies of the PACS that the room was opened with: listing them, and opening one as a case."""

from __future__ import annotations

import threading
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel

from plgg.pacs.records import Study, StudyQuery, is_uid, study_key
from plgg.serve.cases import PREFIX, Case
from plgg.serve.errors import RequestError
from plgg.serve.records import Job
from plgg.serve.room import Room, TheRoom, address_of, user_of
from plgg.serve.studies import list_studies, require_pacs

router = APIRouter(prefix=PREFIX, tags=["studies"])
_OPENING = threading.Lock()
_Text = Annotated[str, Query(max_length=64)]


class SeriesLine(BaseModel):
    """A series, as the PACS describes it."""

    uid: str
    modality: str
    description: str
    number: str
    n_instances: int | None


class StudyLine(BaseModel):
    """A study, as the PACS describes it; `case` is its case, once it was opened."""

    uid: str
    patient_id: str
    patient_name: str
    date: str
    description: str
    series: list[SeriesLine]
    case: str | None


class StudyTable(BaseModel):
    """What the PACS has."""

    studies: list[StudyLine]


class Opened(BaseModel):
    """What came of opening a study: its case, or the job that is making it."""

    id: str
    case: Case | None = None
    job: Job | None = None


@router.get("/studies")
def studies(
    request: Request,
    room: TheRoom,
    patient: _Text = "",
    date: _Text = "",
    description: _Text = "",
    modality: _Text = "MR",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> StudyTable:
    """The studies of the PACS that fit; patient is an ID, `*` and `?` stand for any letters."""
    require_pacs(room.work)
    query = StudyQuery(patient or None, date or None, description or None, modality or None, limit)
    room.audit.write("list studies", who=user_of(request), address=address_of(request))
    return StudyTable(studies=[_line(room, study) for study in list_studies(room.work, query)])


def _line(room: Room, study: Study) -> StudyLine:
    key = study_key(study.uid)
    return StudyLine(
        uid=study.uid,
        patient_id=study.patient_id,
        patient_name=study.patient_name,
        date=study.date,
        description=study.description,
        series=[SeriesLine(**vars(series)) for series in study.series],
        case=key if room.work.has_case(key) else None,
    )


@router.post("/studies/{uid}", status_code=202)
def open_study(uid: str, request: Request, room: TheRoom, response: Response) -> Opened:
    """Fetch a study and predict it, as a case; 200 if that was done before."""
    require_pacs(room.work)
    if not is_uid(uid):
        raise RequestError(422, "is no UID of a study", where="the study")
    key = study_key(uid)
    with _OPENING:
        if room.work.has_case(key):
            response.status_code = 200
            return Opened(id=key, case=room.cases.get(key), job=room.queue.of_case(key))
        job = room.queue.of_case(key)
        if job is None or job.finished:
            who, address = user_of(request), address_of(request)
            room.queue.require_room()
            room.audit.write("open study", who=who, address=address, case=key)
            job = room.queue.add("predict", case=key, study=uid)
    return Opened(id=key, job=job)
