"""Run jobs in worker processes, on this machine or on Ray.

    for outcome in run_jobs(jobs, do, start=load, workers=4, out=store):
        ...

The outcomes are the same either way, and come in the order of the jobs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from plgg.core.on_ray import on_ray
from plgg.core.ray_session import RayWorkers, import_ray
from plgg.core.shared_folder import shared_folder
from plgg.core.workers import JobOutcome, in_workers

Job = TypeVar("Job")
State = TypeVar("State")
Result = TypeVar("Result")
Workers = int | RayWorkers
"""Processes of this machine, or those that Ray places."""


def require_workers(workers: Workers) -> None:
    """Check that the workers are available, before anything is written.

    Raises:
        ConfigError: If Ray is asked for and not installed.
    """
    if isinstance(workers, RayWorkers):
        import_ray()


def run_jobs(
    jobs: Sequence[Job],
    do: Callable[[State, Job], Result],
    *,
    start: Callable[[], State],
    workers: Workers,
    out: Path,
    inputs: Iterable[Path] = (),
    seconds: float | None = None,
    gib: float | None = None,
) -> Iterator[JobOutcome[Result]]:
    """Run jobs in worker processes; the failure of a job is its outcome and is not raised.

    Args:
        jobs: The jobs; they must be picklable.
        do: Runs a job; a module-level function, like `start`. Its first argument is what `start`
            returned.
        start: Initialises a worker process, once in each.
        workers: Number of processes, or workers of Ray.
        out: Output folder of the jobs; with Ray every node must see it.
        inputs: Further paths that every node must see.
        seconds: Time limit of a job, which is killed then; None for no limit.
        gib: Memory of a process at which its job is killed; None for no limit here, and on Ray for
            the worker's share of its node.

    Yields:
        The outcome of each job, in their order.

    Raises:
        PlggError: What `start` raised, or why there are no workers.
    """
    if isinstance(workers, int):
        yield from in_workers(jobs, do, start=start, workers=workers, seconds=seconds, gib=gib)
        return
    with shared_folder(out, inputs=inputs) as shared:
        done = on_ray(
            jobs, do, start=start, workers=workers, seconds=seconds, gib=gib, shared=shared
        )
        with closing(done):
            yield from _in_order(done)


def _in_order(done: Iterable[tuple[int, JobOutcome[Result]]]) -> Iterator[JobOutcome[Result]]:
    """Outcomes in the order of their numbers, from 0; early ones are buffered."""
    early: dict[int, JobOutcome[Result]] = {}
    following = 0
    for number, outcome in done:
        early[number] = outcome
        while following in early:
            yield early.pop(following)
            following += 1
