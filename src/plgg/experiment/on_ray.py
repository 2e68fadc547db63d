"""Runs side by side by Ray: on this machine, or on a cluster whose nodes share the folders.

A worker process that dies is replaced, and its run goes on from the last checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from plgg.core.files import make_folder
from plgg.core.on_ray import on_ray
from plgg.core.progress import Silent
from plgg.core.ray_session import RayWorkers
from plgg.core.shared_folder import shared_folder
from plgg.core.workers import JobOutcome
from plgg.data.experiment_folder import note_failure
from plgg.data.split import Split
from plgg.data.store import Store
from plgg.experiment.options import Workers
from plgg.experiment.plan import Job
from plgg.experiment.run_job import attempt

OnRunEnd = Callable[[Job, str | None], None]
"""Called as each run ends, with the reason if it failed."""


def run_on_ray(
    jobs: Sequence[tuple[Job, Split]], store: Path, out: Path, workers: Workers, told: OnRunEnd
) -> None:
    """Execute all runs, as many at a time as there are cores and GPUs for.

    Raises:
        ConfigError: If Ray is not installed or cannot be reached, has no room for a run, or its
            nodes do not see the folders.
    """
    ray = RayWorkers(workers.address, workers.cpus, workers.gpus)
    start = partial(_open_store, store.resolve(), workers.cpus)
    with shared_folder(out, inputs=[store / "cohort.json"]) as shared:
        do = partial(_run, workers.retries)
        for number, outcome in on_ray(jobs, do, start=start, workers=ray, shared=shared):
            job = jobs[number][0]
            told(
                job,
                outcome.result if outcome.failure is None else _record_worker_death(job, outcome),
            )


def _open_store(store: Path, cpus: int) -> Store:
    """Open the store, once in each worker process."""
    import torch

    torch.set_num_threads(cpus)
    return Store(store)


def _run(retries: int, store: Store, pair: tuple[Job, Split]) -> str | None:
    job, split = pair
    return attempt(job, store, split, Silent(), retries=retries)


def _record_worker_death(job: Job, outcome: JobOutcome[str | None]) -> str:
    """Record why the worker process of a run died, and return the reason."""
    reason = outcome.reason or "its worker process died"
    make_folder(job.run)
    note_failure(job.run, reason, reason)
    return reason
