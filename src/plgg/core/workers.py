"""Run jobs in worker processes: one that fails, hangs or exhausts memory affects no other job.

    for outcome in in_workers(jobs, do, start=load, workers=4, seconds=1800, gib=8):
        ...

Results come in the order of the jobs. Each process runs many jobs: `start` loads expensive objects
(an atlas, a network) once in each, and they are passed to `do`.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Any, Generic, Literal, TypeVar, cast

from plgg.core.errors import PlggError, WorkerError
from plgg.core.worker import Worker, describe_error

log = logging.getLogger(__name__)
Job = TypeVar("Job")
State = TypeVar("State")
Result = TypeVar("Result")
Failure = Literal["error", "time", "memory", "killed", "crashed"]
# Interval of memory checks: a process can allocate only a fraction of a GiB in between.
_LOOK_SECONDS = 0.1
# Time limit for the start of a process.
_START_SECONDS = 900.0


@dataclass(frozen=True)
class JobOutcome(Generic[Result]):
    """Outcome of a job: its result or its failure.

    Attributes:
        result: Its return value; None where it failed.
        reason: Why it failed, in one line; None where it did not.
        failure: What kind of failure that is: it raised, was too slow or too large, or its process
            was killed from outside, crashed or ended by itself.
        error: The exception, if it is one of plgg's errors, with its class and its parts.
    """

    result: Result | None = None
    reason: str | None = None
    failure: Failure | None = None
    error: PlggError | None = None

    def required(self) -> Result:
        """The result; raises an error if the job failed.

        Raises:
            PlggError: The error of the job; a `WorkerError` where it failed in another way.
        """
        if self.failure is not None:
            raise self.error or WorkerError(
                self.reason or "a job failed", remedy="Use fewer worker processes."
            )
        return cast("Result", self.result)


def in_workers(
    jobs: Sequence[Job],
    do: Callable[[State, Job], Result],
    *,
    start: Callable[[], State],
    workers: int,
    seconds: float | None = None,
    gib: float | None = None,
) -> Generator[JobOutcome[Result], None, None]:
    """Run jobs in worker processes; the failure of a job is its outcome and is not raised.

    Args:
        jobs: The jobs; they must be picklable.
        do: Runs a job; a module-level function, like `start`. Its first argument is what `start`
            returned.
        start: Initialises a worker process, once in each.
        workers: Number of parallel processes, at least one.
        seconds: Time limit of a job, which is killed then; None for no limit.
        gib: Memory limit of a process, whose job is killed then; None for no limit.

    Yields:
        The outcome of each job, in their order. A job whose process was killed from outside, as the
        system does where memory runs out, is tried again while nothing else runs.

    Raises:
        PlggError: What `start` raised.
        WorkerError: If no process can be started.
    """
    pool = WorkerPool(do, start, max(1, min(workers, len(jobs))), (seconds, gib))
    numbers = [pool.submit(job) for job in jobs]
    try:
        for number in numbers:
            yield pool.outcome(number)
    except BaseException:
        pool.kill()
        raise
    pool.close()


class WorkerPool:
    """Pool of worker processes for many jobs; its creator must close or kill it.

    Args:
        do: Runs a job.
        start: Initialises a process.
        most: Largest number of parallel processes.
        limits: Seconds of a job and GiB of a process; None for no limit.
    """

    def __init__(
        self,
        do: Callable[[Any, Any], Any],
        start: Callable[[], Any],
        most: int,
        limits: tuple[float | None, float | None],
    ) -> None:
        self._do, self._start, self._most = do, start, most
        self._seconds, self._gib = limits
        self._n_submitted = 0
        self._jobs: dict[int, Any] = {}
        self._waiting: deque[int] = deque()
        self._again: deque[int] = deque()
        self._workers: list[Worker] = []
        self._found: dict[int, JobOutcome[Any]] = {}

    def submit(self, job: object) -> int:
        """Queue a job; gives its number."""
        number = self._n_submitted
        self._n_submitted += 1
        self._jobs[number] = job
        self._waiting.append(number)
        return number

    def outcome(self, number: int) -> JobOutcome[Any]:
        """Wait for the outcome of a job, which can be asked for once; others go on meanwhile.

        Raises:
            PlggError: What `start` raised.
            WorkerError: If no process can be started.
        """
        self._hand_out()
        while number not in self._found:
            self._listen()
            self._hand_out()
        del self._jobs[number]
        return self._found.pop(number)

    def close(self) -> None:
        """End the idle processes."""
        for worker in self._workers:
            worker.close()

    def kill(self) -> None:
        """End the processes at once."""
        for worker in self._workers:
            worker.kill()

    def _hand_out(self) -> None:
        busy = [worker for worker in self._workers if worker.job is not None]
        if any(worker.alone for worker in busy) or (busy and self._again):
            return
        queue, most = (self._again, 1) if self._again else (self._waiting, len(self._waiting))
        alone = queue is self._again
        idle = [worker for worker in self._workers if worker.ready and worker.job is None]
        for worker in idle[:most]:
            number = queue.popleft()
            worker.send(number, self._jobs[number], alone=alone)
        starting = sum(not worker.ready for worker in self._workers)
        while starting < len(queue) and len(self._workers) < self._most:
            self._workers.append(Worker(self._start, self._do))
            starting += 1

    def _listen(self) -> None:
        """Wait for the next answer, or until it is time to look at the limits."""
        by_connection = {worker.connection: worker for worker in self._workers}
        for connection in wait(list(by_connection), _LOOK_SECONDS):
            self._hear(next(w for c, w in by_connection.items() if c is connection))
        for worker in list(self._workers):
            self._look_at(worker)

    def _hear(self, worker: Worker) -> None:
        heard = worker.receive()
        if heard is None:
            self._lost(worker)
            return
        kind, value = heard
        if kind == "ready":
            worker.ready = True
        elif kind == "broken":
            raise (
                value
                if isinstance(value, PlggError)
                else WorkerError(f"a worker process cannot start: {value}")
            )
        elif kind == "result":
            self._done(worker, JobOutcome(value))
        else:
            self._done(worker, _raised(value))

    def _done(self, worker: Worker, outcome: JobOutcome[Any]) -> None:
        if worker.job is not None:
            self._found[worker.job] = outcome
        worker.job, worker.alone = None, False

    def _look_at(self, worker: Worker) -> None:
        if worker.gone:
            self._lost(worker)
        elif not worker.ready:
            if worker.seconds > _START_SECONDS:
                self._end(worker, "time", "its process did not start")
        elif worker.job is not None:
            self._hold_to_limits(worker)

    def _hold_to_limits(self, worker: Worker) -> None:
        if self._seconds is not None and worker.seconds > self._seconds:
            reason = f"it took longer than {_in_words(self._seconds)} and was stopped"
            self._end(worker, "time", reason)
        elif self._gib is not None and worker.gib > self._gib:
            reason = f"it took more than {self._gib:.1f} GiB of memory and was stopped"
            self._end(worker, "memory", reason)

    def _lost(self, worker: Worker) -> None:
        """Handle a process that ended unexpectedly; a killed job is retried alone."""
        reason = worker.exit_reason()
        others = len(self._workers) > 1
        if worker.job is not None and worker.killed and others and not worker.alone:
            log.info("job %d: %s; it is tried again alone", worker.job, reason)
            self._again.append(worker.job)
            worker.job = None
        self._end(worker, "killed" if worker.killed else "crashed", reason)

    def _end(self, worker: Worker, failure: Failure, reason: str) -> None:
        self._workers.remove(worker)
        worker.kill()
        if not worker.ready:
            self._went_without(reason)
        self._done(worker, JobOutcome(reason=reason, failure=failure))

    def _went_without(self, reason: str) -> None:
        """Go on without a process that did not start, or raise an error if none is left."""
        self._most -= 1
        if not self._workers or self._most < 1:
            raise WorkerError(
                f"a worker process cannot start: {reason}",
                remedy="Close other programs, or use a machine with more memory.",
            )
        log.warning("%d worker processes go on: one did not start (%s)", self._most, reason)


def _raised(error: PlggError | str) -> JobOutcome[Any]:
    """The outcome of a job that raised."""
    if isinstance(error, str):
        return JobOutcome(reason=error, failure="error")
    return JobOutcome(reason=describe_error(error), failure="error", error=error)


def _in_words(seconds: float) -> str:
    return f"{seconds:g} s" if seconds < 120 else f"{seconds / 60:g} minutes"


__all__ = ["Failure", "JobOutcome", "WorkerPool", "describe_error", "in_workers"]
