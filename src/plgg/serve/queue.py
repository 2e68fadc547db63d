"""`JobQueue`: the persistent job queue of a reading room, one JSON file per job.

    job = queue.add("predict", case="P01")
    queue.cancel(job.id)

Every change is written to disk at once. `load` queues jobs again that were running when the server
was killed; each is started `MOST_ATTEMPTS` times at most, so that a scan which crashes its process
or the machine is not retried for ever. `load` also removes finished jobs that are old or beyond a
number, but never the newest job of a case or a round.
"""

from __future__ import annotations

import logging
import secrets
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from plgg.core.errors import InputError
from plgg.core.files import write_json
from plgg.core.records import read_record
from plgg.serve.errors import RequestError, not_found
from plgg.serve.records import Job, JobKind, JobProgress, now

log = logging.getLogger(__name__)
MOST_ATTEMPTS = 4
KEEP_DAYS = 30
KEEP_FINISHED = 1000
_GAVE_UP = f"its process ended {MOST_ATTEMPTS} times before the job was done"


class JobQueue:
    """The job queue of a folder; only one process may load and change it.

    Args:
        folder: Folder of the JSON files.
        most: Largest number of waiting jobs.
    """

    def __init__(self, folder: Path, *, most: int = 200) -> None:
        self._folder, self._most = folder, most
        self._changed = threading.Condition()
        self._jobs: dict[str, Job] = {}
        self._closed = False
        self._newest: dict[tuple[JobKind, str | int | None], str] = {}

    def load(self) -> None:
        """Read the files, remove old ones, and queue jobs again that were running."""
        with self._changed:
            for path in sorted(self._folder.glob("*.json")):
                job = _read(path)
                if job is not None and job.id == path.stem and not path.is_symlink():
                    self._know(job)
            self._prune()
            for job in self.all():
                if job.state == "running":
                    self.again(job.id)

    def _prune(self) -> None:
        """Remove old finished jobs with their files, except the newest of each case and round."""
        newest = set(self._newest.values())
        finished = [job for job in self.all() if job.finished and job.id not in newest]
        oldest = f"{datetime.now(UTC) - timedelta(days=KEEP_DAYS):%Y%m%d-%H%M%S}"
        for number, job in enumerate(reversed(finished)):
            if number >= KEEP_FINISHED or job.id < oldest:
                self._forget(job)

    def _forget(self, job: Job) -> None:
        # The file name is the job's id: `load` skips files with another.
        with suppress(OSError):
            (self._folder / f"{job.id}.json").unlink()
            del self._jobs[job.id]

    def all(self) -> list[Job]:
        """All jobs, oldest first."""
        with self._changed:
            return list(self._jobs.values())

    def get(self, job_id: str) -> Job:
        """A job.

        Raises:
            RequestError: 404, if there is none.
        """
        with self._changed:
            if job_id not in self._jobs:
                raise not_found("there is no such job")
            return self._jobs[job_id]

    def count(self, state: str) -> int:
        """How many jobs are in a state."""
        return sum(job.state == state for job in self.all())

    def of_case(self, case_id: str) -> Job | None:
        """The newest prediction of a case."""
        return self._newest_of("predict", case_id)

    def of_round(self, number: int) -> Job | None:
        """The newest job of a round."""
        return self._newest_of("round", number)

    def of_push(self, case_id: str) -> Job | None:
        """The newest job that sends a case to the PACS."""
        return self._newest_of("push", case_id)

    def _newest_of(self, kind: JobKind, what: str | int) -> Job | None:
        with self._changed:
            name = self._newest.get((kind, what))
            return None if name is None else self._jobs[name]

    def add(
        self,
        kind: JobKind,
        *,
        case: str | None = None,
        number: int | None = None,
        study: str | None = None,
        edit: int | None = None,
    ) -> Job:
        """Queue a job.

        Args:
            kind: Kind of the job.
            case: Case to predict, or to send to the PACS.
            number: Number of the round.
            study: UID of the study to fetch from the PACS first.
            edit: Number of the correction to send; 0 is the model's mask.

        Raises:
            RequestError: 429, if too many are waiting.
            OutputError: If it cannot be written.
        """
        with self._changed:
            self.require_room()
            stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S%f")
            name = f"{stamp}-{secrets.token_hex(4)}"
            made = Job(
                id=name, kind=kind, case=case, round=number, study=study, edit=edit, created=now()
            )
            return self._put(made)

    def require_room(self) -> None:
        """Check that the queue is not full.

        Raises:
            RequestError: 429, if too many are waiting.
        """
        if self.count("queued") >= self._most:
            raise RequestError(
                429,
                f"{self._most} jobs are waiting, which is the most",
                remedy="Wait until some are done.",
                headers={"Retry-After": "60"},
            )

    def take(self, seconds: float) -> Job | None:
        """Start the oldest waiting job and return it; None if there is none within `seconds`."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._waiting(), timeout=seconds)
            job = self._waiting()
            if job is None or self._closed:
                return None
            begun = {"state": "running", "started": now(), "attempts": job.attempts + 1}
            return self._put(job.model_copy(update=begun))

    def _waiting(self) -> Job | None:
        return next((job for job in self.all() if job.state == "queued"), None)

    def close(self) -> None:
        """Give out no more jobs, and wake threads that wait for one."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def tell(self, job_id: str, progress: JobProgress | None) -> None:
        """Update the progress of a running job, in memory only."""
        with self._changed:
            job = self._jobs[job_id]
            if job.state == "running" and job.progress != progress:
                self._jobs[job_id] = job.model_copy(update={"progress": progress})

    def end(
        self,
        job_id: str,
        error: str | None = None,
        *,
        refused: bool = False,
        outcome: str | None = None,
    ) -> Job:
        """Mark a job as done or failed; a job that was cancelled meanwhile stays so."""
        with self._changed:
            job = self._jobs[job_id]
            if job.finished:
                return job
            state = "failed" if error else "done"
            told = {"state": state, "error": error, "refused": refused, "ended": now()}
            told["outcome"] = outcome
            return self._put(job.model_copy(update={**told, "progress": None, "study": None}))

    def again(self, job_id: str, *, counted: bool = True) -> Job:
        """Queue a job again after its process died, or fail it after `MOST_ATTEMPTS` starts.

        Args:
            job_id: Of the job.
            counted: Whether the attempt counts; False where the server itself was stopped.
        """
        with self._changed:
            job = self._jobs[job_id]
            if job.finished:
                return job
            if counted and job.attempts >= MOST_ATTEMPTS:
                return self.end(job_id, _GAVE_UP)
            attempts = job.attempts if counted else job.attempts - 1
            told = {"state": "queued", "started": None, "progress": None, "attempts": attempts}
            return self._put(job.model_copy(update=told))

    def cancel(self, job_id: str) -> Job:
        """Cancel a job that waits or runs; the runner then ends its process.

        Raises:
            RequestError: 404 if there is none, 409 if it has ended.
        """
        with self._changed:
            job = self.get(job_id)
            if job.finished:
                raise RequestError(409, f"the job is {job.state} already", where=job_id)
            told = {"state": "cancelled", "error": "was cancelled", "ended": now()}
            return self._put(job.model_copy(update={**told, "progress": None, "study": None}))

    def _put(self, job: Job) -> Job:
        record = job.model_copy(update={"progress": None})
        write_json(self._folder / f"{job.id}.json", record.model_dump(mode="json"))
        self._know(job)
        self._changed.notify_all()
        return job

    def _know(self, job: Job) -> None:
        """Add or update a job in memory, and note whether it is the newest of its case or round."""
        self._jobs[job.id] = job
        newest = self._newest.setdefault((job.kind, job.case or job.round), job.id)
        if job.id > newest:
            self._newest[job.kind, job.case or job.round] = job.id


def _read(path: Path) -> Job | None:
    """Read a job's file; one that cannot be read is logged and skipped."""
    try:
        return read_record(path, Job, error=InputError, what="is no job", remedy="Remove it.")
    except InputError as error:
        log.warning("%s", error)
        return None
