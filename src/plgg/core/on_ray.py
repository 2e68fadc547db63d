"""Run jobs on Ray: if a worker or a node dies, its job is retried and no other job is affected.

    for number, outcome in on_ray(jobs, do, start=load, workers=RayWorkers("auto")):
        ...

The driver has the queue and sends each worker one job at a time; results are small.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from plgg.core.errors import PlggError, WorkerError
from plgg.core.ray_host import RayHost
from plgg.core.ray_session import RayWorkers, Room, ray_session, worker_resources
from plgg.core.shared_folder import SharedFolder
from plgg.core.workers import JobOutcome

log = logging.getLogger(__name__)
Job = TypeVar("Job")
State = TypeVar("State")
Result = TypeVar("Result")
# Retries of a job whose process died; a job that raises an error is not retried.
MOST_RETRIES = 3
_POLL_SECONDS = 1.0


def on_ray(
    jobs: Sequence[Job],
    do: Callable[[State, Job], Result],
    *,
    start: Callable[[], State],
    workers: RayWorkers,
    seconds: float | None = None,
    gib: float | None = None,
    shared: SharedFolder | None = None,
) -> Generator[tuple[int, JobOutcome[Result]], None, None]:
    """Run jobs in processes that Ray places; the failure of a job is its outcome, not raised.

    Args:
        jobs: The jobs; they must be picklable.
        do: Runs a job; a function of a module that is installed on the nodes, like `start`.
        start: Initialises a worker process, once in each.
        workers: Cluster, number and resources of the workers.
        seconds: Time limit of a job, which is killed then; None for no limit.
        gib: Memory limit of a process, whose job is killed then; by default its share of its node,
            and at least twice what it requests. None for no limit if it requests none.
        shared: Paths that each worker must see before its first job.

    Yields:
        The number of each job and its outcome, in order of completion. A job whose process was
        killed is retried up to `MOST_RETRIES` times.

    Raises:
        ConfigError: If Ray is not installed or not reached, has no room for a worker, or a worker
            does not see the shared paths.
        PlggError: What `start` raised.
        WorkerError: If no worker can be started.
    """
    if not jobs:
        return
    with ray_session(workers.address) as ray:
        room = worker_resources(ray, workers)
        if gib is None and workers.gib:
            gib = max(2.0 * workers.gib, room.share_gib)
        make = _maker(ray, workers.cpus, room)
        crew = _HostPool(
            ray, lambda: make(do, start, (seconds, gib), shared, Path.cwd()), jobs, room.workers
        )
        try:
            yield from crew.outcomes()
        finally:
            crew.end()


def _maker(ray: Any, cpus: int, room: Room) -> Callable[..., Any]:  # noqa: ANN401
    """Return a function that makes hosts on nodes with enough resources."""
    memory = {} if room.reserved_gib is None else {"memory": int(room.reserved_gib * 2**30)}
    hosts = ray.remote(num_cpus=cpus, num_gpus=room.gpus, max_restarts=0, **memory)(RayHost)
    made: Callable[..., Any] = hosts.remote
    return made


class _HostPool:
    """Hosts with their current jobs, and the queue of jobs."""

    def __init__(
        self,
        ray: Any,  # noqa: ANN401
        hire: Callable[[], Any],
        jobs: Sequence[Any],
        most: int,
    ) -> None:
        self._ray, self._hire, self._jobs, self._most = ray, hire, jobs, most
        self._waiting = deque(range(len(jobs)))
        self._tries: Counter[int] = Counter()
        self._n_lost_at_start = 0
        self._idle: list[Any] = []
        # By Ray reference: a host, and the number of its current job; None while the host starts.
        self._busy: dict[Any, tuple[Any, int | None]] = {}

    def outcomes(self) -> Generator[tuple[int, JobOutcome[Any]], None, None]:
        left = len(self._jobs)
        while left:
            self._hand_out()
            for reference in self._done():
                found = self._hear(reference)
                if found is not None:
                    left -= 1
                    yield found

    def _done(self) -> list[Any]:
        """References whose results arrive within `_POLL_SECONDS`."""
        try:
            done: list[Any] = self._ray.wait(list(self._busy), timeout=_POLL_SECONDS)[0]
        except self._ray.exceptions.RayError as error:
            raise WorkerError(
                f"Ray does not answer any more ({_last_line(error)})",
                remedy="Start it again and repeat the command: what is finished is kept.",
            ) from error
        return done

    def end(self) -> None:
        """End all hosts, and with them their processes."""
        for host in [*self._idle, *(host for host, _ in self._busy.values())]:
            self._dismiss(host)

    def _hand_out(self) -> None:
        while self._idle and self._waiting:
            host, number = self._idle.pop(), self._waiting.popleft()
            self._busy[host.do.remote(self._jobs[number])] = host, number
        starting = sum(number is None for _, number in self._busy.values())
        while starting < len(self._waiting) and len(self._busy) < self._most:
            host = self._hire()
            self._busy[host.ready.remote()] = host, None
            starting += 1

    def _hear(self, reference: Any) -> tuple[int, JobOutcome[Any]] | None:  # noqa: ANN401
        host, number = self._busy.pop(reference)
        try:
            told = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            self._dismiss(host)
            return self._lost(number, _last_line(error))
        if isinstance(told, PlggError):
            raise told
        self._idle.append(host)
        if number is None:
            return None
        if told.failure == "killed":
            return self._lost(number, told.reason)
        return number, told

    def _lost(self, number: int | None, why: str) -> tuple[int, JobOutcome[Any]] | None:
        """Handle a host that ended unexpectedly: retry its job, or return the failure."""
        if number is None:
            self._n_lost_at_start += 1
            if self._n_lost_at_start > MOST_RETRIES:
                raise WorkerError(
                    f"a Ray worker cannot start: {why}",
                    remedy="Is plgg installed on every node, in the same version?",
                )
            return None
        self._tries[number] += 1
        if self._tries[number] <= MOST_RETRIES:
            log.info("job %d: %s; it is tried again", number, why)
            self._waiting.appendleft(number)
            return None
        reason = f"its worker process died {self._tries[number]} times ({why})"
        return number, JobOutcome(reason=reason, failure="killed")

    def _dismiss(self, host: Any) -> None:  # noqa: ANN401
        try:
            self._ray.kill(host)
        except Exception as error:  # noqa: BLE001 - gone already, or Ray itself is
            log.debug("a host of Ray could not be ended: %s", error)


def _last_line(error: Exception) -> str:
    """Message of an error of Ray, without its traceback."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].rstrip(".") if lines else type(error).__name__
