"""`Runner`: a thread that runs queued jobs one at a time, each in a worker process.

A single job takes all cores and much of the memory of a workstation.
"""

from __future__ import annotations

import json
import logging
import threading
from contextlib import suppress
from functools import partial
from multiprocessing.connection import wait

import psutil

from plgg.core.errors import PlggError
from plgg.core.worker import Worker, describe_error
from plgg.serve.audit import AuditLog
from plgg.serve.queue import JobQueue
from plgg.serve.records import Job, JobProgress
from plgg.serve.work import WorkFolder
from plgg.serve.worker import JobEnd, do, progress_file, start

log = logging.getLogger(__name__)
_GIB = 2**30
_POLL_SECONDS = 0.1
_IDLE_SECONDS = 1.0
_FULL_SECONDS = 5.0


class Runner:
    """Runs jobs until it is stopped.

    Args:
        queue: The job queue.
        work: The work folder.
        round_minutes: Time limit of a fine-tuning round.
        audit: Logs what was sent to a PACS; None for no log.
    """

    def __init__(
        self,
        queue: JobQueue,
        work: WorkFolder,
        *,
        round_minutes: float = 240.0,
        audit: AuditLog | None = None,
    ) -> None:
        self._queue, self._work, self._audit = queue, work, audit
        self._round_seconds = 60.0 * round_minutes
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="plgg-jobs", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread; the running job is ended and queued again."""
        self._stopping.set()
        self._queue.close()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            job = self._take_job()
            if job is None:
                continue
            try:
                self._do(job)
            except (PlggError, OSError) as error:  # no process can be started, or the disk is full
                log.warning("job %s: %s", job.id, error)
                self._give_up(job, describe_error(error))
            finally:
                with suppress(OSError):
                    progress_file(self._work, job.id).unlink(missing_ok=True)

    def _take_job(self) -> Job | None:
        """The next job; None if there is none, or its start cannot be written to disk."""
        try:
            return self._queue.take(_IDLE_SECONDS)
        except PlggError as error:
            log.warning("no job is begun: %s", error)
            self._stopping.wait(_FULL_SECONDS)
            return None

    def _give_up(self, job: Job, reason: str) -> None:
        """Mark a job as failed; repeated until that can be written to disk."""
        while not self._stopping.is_set():
            try:
                self._queue.end(job.id, reason)
            except PlggError:
                self._stopping.wait(_FULL_SECONDS)
            else:
                return

    def _do(self, job: Job) -> None:
        worker = Worker(partial(start, self._work), do)
        try:
            self._follow(worker, job)
        finally:
            worker.kill()

    def _follow(self, worker: Worker, job: Job) -> None:
        """Follow a job until it ends, is cancelled, exceeds a limit, or its process dies."""
        seconds, gib = self._limits(job)
        while True:
            wait([worker.connection], _POLL_SECONDS)
            self._queue.tell(job.id, self._progress(job.id))
            if self._stopping.is_set():
                self._queue.again(job.id, counted=False)
                return
            if self._queue.get(job.id).finished:  # cancelled
                return
            fault = _limit_fault(worker, seconds, gib)
            if fault is not None:
                self._end(job, JobEnd(fault))
                return
            if worker.gone or (worker.connection.poll() and self._receive(worker, job)):
                return self._lost(worker, job)

    def _receive(self, worker: Worker, job: Job) -> bool:
        """Handle a message of the worker; returns whether it was the last one."""
        heard = worker.receive()
        if heard is None:
            return True
        kind, value = heard
        if kind == "ready":
            worker.ready = True
            worker.send(0, job)
            return False
        if isinstance(value, JobEnd):
            self._end(job, value)
        else:
            self._end(job, JobEnd(str(value)))
        return True

    def _end(self, job: Job, end: JobEnd) -> None:
        self._queue.end(job.id, end.error, refused=end.refused, outcome=end.outcome)
        if job.kind == "push" and self._audit is not None:
            what = "pushed" if end.error is None else "push failed"
            self._audit.write(what, case=job.case, edit=job.edit, job=job.id)

    def _lost(self, worker: Worker, job: Job) -> None:
        """Queue the job again if its process died before it ended."""
        if not self._queue.get(job.id).finished:
            log.warning("job %s: %s", job.id, worker.exit_reason())
            self._queue.again(job.id)

    def _limits(self, job: Job) -> tuple[float, float]:
        """Seconds and GiB that a job may take."""
        options = self._work.options
        free = float(psutil.virtual_memory().available) / _GIB
        seconds = self._round_seconds if job.kind == "round" else 60.0 * options.case_minutes
        return seconds, options.case_gib or free

    def _progress(self, job_id: str) -> JobProgress | None:
        try:
            found = json.loads(progress_file(self._work, job_id).read_bytes())
            return JobProgress.model_validate(found)
        except (OSError, ValueError):
            return None


def _limit_fault(worker: Worker, seconds: float, gib: float) -> str | None:
    """Why a job must be stopped; None while it is within its limits."""
    if worker.seconds > seconds:
        return f"it took longer than {seconds / 60:g} minutes and was stopped"
    if worker.gib > gib:
        return f"it took more than {gib:.1f} GiB of memory and was stopped"
    return None
