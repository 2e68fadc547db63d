"""`RayHost`: a Ray actor that runs jobs in a worker process on its node.

Jobs run in a separate process, as on one machine, so that a case that hangs or exhausts memory is
stopped with the same messages, and imports of Ray stay out of it.
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
from plgg.core.worker import picklable_error
from plgg.core.workers import JobOutcome, WorkerPool


class RayHost:
    """Ray actor with one worker process.

    Args:
        do: Runs a job.
        start: Initialises a process.
        limits: Seconds of a job and GiB of its process; None for no limit.
        shared: Paths that the node must see; None for none.
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
        """Why jobs cannot run on this node; None if they can."""
        try:
            if self._shared is not None:
                self._shared.require()
        except PlggError as error:
            return error
        return None

    def do(self, job: object) -> JobOutcome[Any] | PlggError:
        """Run a job and return its outcome, or an error if the worker process cannot start."""
        number = self._pool.submit(job)
        try:
            return self._pool.outcome(number)
        except PlggError as error:
            told = picklable_error(error)
            return told if isinstance(told, PlggError) else WorkerError(told)


def _start_in(folder: Path, start: Callable[[], Any]) -> Any:  # noqa: ANN401
    """Initialise the process in the driver's working folder, if the node has it."""
    with suppress(OSError):
        os.chdir(folder)
    return start()
