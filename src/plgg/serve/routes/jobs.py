"""Jobs: the queue, one job, its events, and cancelling it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from plgg.serve.cases import PREFIX
from plgg.serve.queue import JobQueue
from plgg.serve.records import Job
from plgg.serve.room import TheRoom, address_of, user_of

router = APIRouter(prefix=PREFIX, tags=["jobs"])
_LOOK_SECONDS = 0.25
_ALIVE_SECONDS = 15.0


class JobTable(BaseModel):
    """The queue."""

    jobs: list[Job]


@router.get("/jobs")
def jobs(room: TheRoom) -> JobTable:
    """All jobs, oldest first."""
    return JobTable(jobs=room.queue.all())


@router.get("/jobs/{job_id}")
def job(job_id: str, room: TheRoom) -> Job:
    """One job."""
    return room.queue.get(job_id)


@router.get("/jobs/{job_id}/events")
async def events(job_id: str, room: TheRoom) -> StreamingResponse:
    """The job whenever it changes, as server-sent events; the stream ends with the job."""
    room.queue.get(job_id)
    return StreamingResponse(
        _events(room.queue, job_id),
        media_type="text/event-stream",
        headers={"X-Accel-Buffering": "no"},
    )


async def _events(queue: JobQueue, job_id: str) -> AsyncIterator[str]:
    last, spoke = None, time.monotonic()
    while True:
        found = queue.get(job_id)
        if found != last:
            last, spoke = found, time.monotonic()
            yield f"event: job\ndata: {found.model_dump_json()}\n\n"
        elif time.monotonic() - spoke > _ALIVE_SECONDS:
            spoke = time.monotonic()
            yield ": still there\n\n"
        if found.finished:
            return
        await asyncio.sleep(_LOOK_SECONDS)


@router.delete("/jobs/{job_id}")
def cancel(job_id: str, request: Request, room: TheRoom) -> Job:
    """Cancel a job that waits or runs."""
    found = room.queue.cancel(job_id)
    room.audit.write("cancel", who=user_of(request), address=address_of(request), job=job_id)
    return found
