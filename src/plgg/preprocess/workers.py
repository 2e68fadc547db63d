"""Cases over processes: as many as memory holds, in order, surviving a process that is killed."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

import psutil
import SimpleITK as sitk
from threadpoolctl import threadpool_limits

from plgg.config import Config
from plgg.io.manifest import Case
from plgg.preprocess.route import route_for
from plgg.preprocess.stored import Outcome, attempt
from plgg.worker import follow_parent, sheltered

log = logging.getLogger(__name__)
# What a process holds at most: the network that takes skulls off, one scan, the atlas.
PROCESS_GIB = 2.5
_GIB = 2**30


def fitting(workers: int, memory_gib: float | None = None) -> int:
    """How many of the wanted processes memory holds; at least one.

    Args:
        workers: Wanted.
        memory_gib: What they may take together; what is free now by default.
    """
    budget = psutil.virtual_memory().available / _GIB if memory_gib is None else memory_gib
    fit = max(1, min(workers, int(budget / PROCESS_GIB)))
    if fit < workers:
        log.warning("%d processes instead of %d: %.1f GiB hold no more", fit, workers, budget)
    return fit


def outcomes(
    cases: Sequence[Case], store: Path, config: Config, *, workers: int
) -> Iterator[Outcome]:
    """What becomes of each case, in their order."""
    if workers <= 1:
        route = route_for(config)
        yield from (attempt(case, store, route) for case in cases)
        return
    with _pool(workers) as pool:
        with sheltered():
            waiting = [pool.submit(_one, case, store, config) for case in cases]
        try:
            for case, future in zip(cases, waiting, strict=True):
                yield _of(future) or _alone(case, store, config)
        finally:
            pool.shutdown(cancel_futures=True)


def _of(future: Future[Outcome]) -> Outcome | None:
    """A result; None where a process was killed, which takes all that waited down with it."""
    try:
        return future.result()
    except BrokenProcessPool:
        return None


def _alone(case: Case, store: Path, config: Config) -> Outcome:
    """A case in a process of its own, so that the one that kills its process is found."""
    with _pool(1) as pool:
        with sheltered():
            waiting = pool.submit(_one, case, store, config)
        found = _of(waiting)
    if found:
        return found
    reason = "its process was killed, as happens where memory runs out. Use fewer --workers."
    return Outcome(case.case_id, None, reason)


def _pool(workers: int) -> ProcessPoolExecutor:
    # Spawned, not forked: the imaging libraries hold threads that do not survive a fork.
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_one_thread)


def _one_thread() -> None:
    """A worker is one of many: threads of its own would only get into each other's way."""
    follow_parent()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    threadpool_limits(1)


def _one(case: Case, store: Path, config: Config) -> Outcome:
    # The atlas is kept by each process: it is too large to be sent with every case.
    return attempt(case, store, route_for(config))
