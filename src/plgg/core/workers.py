"""Jobs in worker processes: a job that fails, hangs, eats memory or dies costs only itself.

    for outcome in in_workers(jobs, do, start=load, workers=4, seconds=1800, gib=8):
        ...

Results come in the order of the jobs. A process is used for job after job; what is dear to make (an
atlas, a network) is made once in each by `start` and handed to `do`.
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
# Memory is looked at this often: what a process can take in between is a fraction of a GiB.
_LOOK_SECONDS = 0.1
# A process that has not started by then never will.
_START_SECONDS = 900.0


@dataclass(frozen=True)
class JobOutcome(Generic[Result]):
    """What became of a job.

    Attributes:
        result: What it gave; None where it failed.
        reason: Why it failed, in one line; None where it did not.
        failure: What kind of failure that is: it raised, was too slow or too large, or its process
            was killed from outside, crashed or ended by itself.
        error: What it raised, where that is one of plgg's errors; it keeps its kind and its parts.
    """

    result: Result | None = None
    reason: str | None = None
    failure: Failure | None = None
    error: PlggError | None = None

    def required(self) -> Result:
        """The result of a job without which the others are no use.

        Raises:
            PlggError: What the job raised; a `WorkerError` where it failed in another way.
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
    """Do jobs in processes of their own; nothing is raised for one job.

    Args:
        jobs: What to do; each can be pickled.
        do: Does one; a function of a module, as `start` is. Called with what `start` gave.
        start: Makes a process ready, once in each.
        workers: Processes side by side, at least one.
        seconds: After which a job is killed; None for no limit.
        gib: Memory of a process at which its job is killed; None for no limit.

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
    """Worker processes that stay for job after job; whoever made it closes or kills it.

    Args:
        do: Does a job.
        start: Makes a process ready.
        most: Processes side by side.
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
        """What became of a job, once; others go on meanwhile.

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
        """Let the processes end, which are idle."""
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
        """A process is gone of which nobody asked it."""
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
        """A process that does not start is not started again."""
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
