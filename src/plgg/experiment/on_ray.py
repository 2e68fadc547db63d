"""Runs side by side by Ray: on this machine, or on a cluster whose nodes share the folders.

Ray is asked for by name and imported here alone. A worker process that dies is started again by
Ray, and its run goes on from the last checkpoint.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from plgg.core.errors import ConfigError
from plgg.core.files import make_folder
from plgg.core.progress import Silent
from plgg.data.experiment_folder import note_failure
from plgg.data.split import Split
from plgg.data.store import Store
from plgg.experiment.options import Workers
from plgg.experiment.plan import Job
from plgg.experiment.run_job import attempt

# Of a process that was killed; an error of the run itself is not Ray's to repeat.
_RESTARTS = 3
_POLL_SECONDS = 1.0

Told = Callable[[Job, str | None], None]
"""Called as each run ends, with the reason if it failed."""


def run_on_ray(
    jobs: Sequence[tuple[Job, Split]], store: Path, workers: Workers, told: Told
) -> None:
    """Do all runs, as many at a time as there are cores and GPUs for.

    Raises:
        ConfigError: If Ray is not installed or cannot be reached.
    """
    ray = _ray(workers)
    try:
        gpus = _gpus(ray, workers)
        remote = ray.remote(num_cpus=workers.cpus, num_gpus=gpus, max_retries=_RESTARTS)(_task)
        pending = {remote.remote(job, split, store.resolve(), workers): job for job, split in jobs}
        while pending:
            done, _ = ray.wait(list(pending), timeout=_POLL_SECONDS)
            for reference in done:
                job = pending.pop(reference)
                told(job, _outcome(ray, reference, job))
    finally:
        ray.shutdown()


def _ray(workers: Workers) -> Any:  # noqa: ANN401 - Ray is optional
    # Before the import, which reads it: no telemetry.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # Ray would let its workers stand back for whatever else the machine does; these are the work.
    os.environ.setdefault("RAY_worker_niceness", "0")
    try:
        import ray
    except ImportError as error:
        raise ConfigError("Ray is not installed", remedy='pip install "plgg[ray]"') from error
    try:
        ray.init(
            # Without a word Ray would join whatever cluster it last heard of.
            address=workers.address or "local",
            include_dashboard=None if workers.address else False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"Ray does not answer ({error})",
            where=workers.address,
            remedy="Check the address, or leave it out to use this machine.",
        ) from error
    return ray


def _gpus(ray: Any, workers: Workers) -> float:  # noqa: ANN401
    """GPUs of a run. What no machine has would be waited for without end.

    Raises:
        ConfigError: If no machine has the cores or the GPUs.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    most = {kind: max(node.get(kind, 0.0) for node in nodes) for kind in ("CPU", "GPU")}
    gpus = min(1.0, most["GPU"]) if workers.gpus is None else workers.gpus
    for kind, wanted, option in (("CPU", workers.cpus, "cpus"), ("GPU", gpus, "gpus")):
        if wanted > most[kind]:
            raise ConfigError(
                f"a run asks for {wanted:g} {kind}s and the largest machine has {most[kind]:g}",
                remedy=f"Lower --{option}-per-run.",
            )
    return gpus


def _task(job: Job, split: Split, store: Path, workers: Workers) -> str | None:
    """One run in a process of Ray's."""
    import torch

    torch.set_num_threads(workers.cpus)
    return attempt(job, Store(store), split, Silent(), retries=workers.retries)


def _outcome(ray: Any, reference: Any, job: Job) -> str | None:  # noqa: ANN401
    try:
        reason: str | None = ray.get(reference)
    except ray.exceptions.RayError as error:
        first = str(error).strip().splitlines()[0]
        reason = f"its worker process died {_RESTARTS + 1} times ({first})"
        make_folder(job.run)
        note_failure(job.run, reason, str(error))
    return reason
