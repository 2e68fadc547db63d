"""`RayHost`: what stands on a node of Ray and gives a worker process its jobs.

The work is done in a process of its own, as on one machine, so that a case that hangs or eats the
memory is stopped there and told in the same words, and what Ray itself imports stays out of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from plgg.core.errors import PlggError, WorkerError
from plgg.core.shared_folder import SharedFolder
from plgg.core.worker import sendable
from plgg.core.workers import JobOutcome, WorkerPool


class RayHost:
    """One worker process of a node, and who hands it its jobs.

    Args:
        do: Does a job.
        start: Makes a process ready.
        limits: Seconds of a job and GiB of its process; None for no limit.
        shared: What must be seen from the node; None where nothing is.
        folder: Working folder of the driver, which paths may be relative to.
    """

    def __init__(
        self,
        do: Callable[[Any, Any], Any],
        start: Callable[[], Any],
        limits: tuple[float | None, float | None],
        shared: SharedFolder | None,
        folder: Path,
    ) -> None:
        self._shared = shared
        self._pool = WorkerPool(do, partial(_start_in, folder, start), 1, limits)

    def ready(self) -> PlggError | None:
        """Why nothing can be done here; None if it can."""
        try:
            if self._shared is not None:
                self._shared.require()
        except PlggError as error:
            return error
        return None

    def do(self, job: object) -> JobOutcome[Any] | PlggError:
        """What became of a job; an error where the worker process cannot start."""
        number = self._pool.submit(job)
        try:
            return self._pool.outcome(number)
        except PlggError as error:
            told = sendable(error)
            return told if isinstance(told, PlggError) else WorkerError(told)


def _start_in(folder: Path, start: Callable[[], Any]) -> Any:  # noqa: ANN401
    """Make the process ready in the driver's working folder, where the node has it."""
    with suppress(OSError):
        os.chdir(folder)
    return start()
