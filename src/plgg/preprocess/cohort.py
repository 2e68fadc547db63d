"""Preprocess a manifest into a store, in worker processes; failures are kept in the record."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import psutil
import SimpleITK as sitk
from threadpoolctl import threadpool_limits

from plgg.config import Config
from plgg.core.errors import InputError
from plgg.core.files import make_folder
from plgg.core.jobs import Workers, run_jobs
from plgg.core.output import STORE, output_folder
from plgg.core.progress import Progress
from plgg.core.ray_session import RayWorkers
from plgg.core.shard import Shard
from plgg.core.worker import describe_error
from plgg.core.workers import Failure, JobOutcome
from plgg.data.manifest import Case, class_names
from plgg.data.store_records import Cohort, FailedCase
from plgg.data.store_writing import write_cohort
from plgg.preprocess.case import Outcome, attempt, picture_path
from plgg.preprocess.qc_overlay import draw_failed
from plgg.preprocess.setup import Route, route_for

log = logging.getLogger(__name__)
# Memory that a process takes at most: the skull-stripping network, one scan, the atlas.
PROCESS_GIB = 2.5
# The slowest of 94 real scans took 25 s; HD-BET takes minutes on a processor.
CASE_SECONDS = 1800.0
_GIB = 2**30
_REMEDIES: dict[Failure, str] = {
    "time": "Look at the scan, or give it longer (--case-minutes).",
    "memory": "Is the scan as large as it should be? Use fewer --workers or give more --memory.",
    "killed": "Use fewer --workers, or a machine with more memory.",
    "crashed": "Convert the scan again, or leave it out.",
}


@dataclass(frozen=True)
class Limits:
    """Worker processes, and limits of their memory and time.

    Attributes:
        workers: Number of processes, or workers on Ray; 0 for this process, without limits.
        gib: Memory of each of them; None on Ray, where it is a share of the node's.
        seconds: Time for a case; None for no limit.
    """

    workers: Workers
    gib: float | None
    seconds: float | None

    @classmethod
    def of(cls, workers: Workers, *, memory_gib: float | None, seconds: float | None) -> Limits:
        """Divide memory among the wanted processes, and use fewer where it is too little.

        Args:
            workers: Wanted.
            memory_gib: Memory for all of them. By default the free memory is divided, and each may
                take at least twice `PROCESS_GIB`, however little is free.
            seconds: Time for a case.
        """
        if isinstance(workers, RayWorkers):
            return cls.on_ray(workers, memory_gib, seconds)
        n_workers = 0 if workers == 0 else fitting(workers, memory_gib)
        least = PROCESS_GIB if memory_gib is not None else 2.0 * PROCESS_GIB
        share = _budget(memory_gib) / max(1, n_workers)
        return cls(n_workers, max(least, share), seconds)

    @classmethod
    def on_ray(cls, workers: RayWorkers, memory_gib: float | None, seconds: float | None) -> Limits:
        """Limits on Ray: a worker requests memory of its node; `memory_gib` limits their number."""
        workers = replace(workers, gib=PROCESS_GIB)
        if memory_gib is None:
            return cls(workers, None, seconds)
        most = max(1, int(memory_gib / PROCESS_GIB))
        return cls(replace(workers, most=most), max(PROCESS_GIB, memory_gib / most), seconds)


def fitting(workers: int, memory_gib: float | None = None) -> int:
    """How many of the wanted processes fit into memory; at least one.

    Args:
        workers: Wanted.
        memory_gib: Memory for all of them; by default what is free now.
    """
    budget = _budget(memory_gib)
    fit = max(1, min(workers, int(budget / PROCESS_GIB)))
    if fit < workers:
        log.warning("%d processes instead of %d: %.1f GiB hold no more", fit, workers, budget)
    return fit


def _budget(memory_gib: float | None) -> float:
    return float(psutil.virtual_memory().available) / _GIB if memory_gib is None else memory_gib


def outcomes(
    cases: Sequence[Case], store: Path, config: Config, limits: Limits
) -> Generator[Outcome, None, None]:
    """Preprocess the cases and yield their outcomes, in order."""
    if limits.workers == 0:
        route = route_for(config)
        yield from (attempt(case, store, route) for case in cases)
        return
    found = run_jobs(
        cases,
        partial(_one, store),
        start=partial(_ready, config, one_of_many=limits.workers != 1),
        workers=limits.workers,
        out=store,
        seconds=limits.seconds,
        gib=limits.gib,
    )
    for case, outcome in zip(cases, found, strict=True):
        yield _stopped(case, store, outcome) if outcome.result is None else outcome.result


def _ready(config: Config, *, one_of_many: bool) -> Route:
    """Set up a worker: limit its threads, load the atlas once instead of sending it each time."""
    if one_of_many:  # Threads of its own would only get into the others' way.
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
        threadpool_limits(1)
    return route_for(config)


def _one(store: Path, route: Route, case: Case) -> Outcome:
    return attempt(case, store, route)


def _stopped(case: Case, store: Path, outcome: JobOutcome[Outcome]) -> Outcome:
    """Outcome of a case whose worker was killed or stopped at a limit; it is not read again."""
    remedy = _REMEDIES.get(outcome.failure or "error", "")
    reason = f"{outcome.reason}. {remedy}".strip()
    path = picture_path(store, case.case_id)
    try:
        draw_failed(path, None, title=case.case_id, reason=reason, quality=None)
    except Exception as error:  # noqa: BLE001 - the guard around a case, while it is drawn
        log.warning("no picture of case %s: %s", case.case_id, describe_error(error))
    return Outcome(case.case_id, None, reason)


def preprocess_cohort(  # noqa: PLR0913 - as the command
    cases: Sequence[Case],
    store: Path,
    config: Config,
    *,
    workers: Workers = 0,
    memory_gib: float | None = None,
    case_seconds: float | None = CASE_SECONDS,
    keep_going: bool = True,
    shard: Shard | None = None,
    progress: Progress | None = None,
) -> Cohort:
    """Preprocess every case and write the store; cases that are there and unchanged are kept.

    Args:
        cases: Rows of the manifest.
        store: Folder to write.
        config: Its grid and its settings of preprocessing.
        workers: Number of processes; fewer are used where memory does not suffice. There, a case
            that hangs, crashes or takes too much memory fails alone. 0 does the work in this
            process, without limits, which saves seconds where cases are tiny. `RayWorkers` are
            placed by Ray, whose nodes must see the store and the scans.
        memory_gib: Memory for all of them; by default what is free.
        case_seconds: Time after which a case is stopped; None for no limit.
        keep_going: Go on after a case that failed. Otherwise the first failure ends the run:
            finished cases are kept for the next one, and the store is not completed.
        shard: Do only this part of the cases, while other processes do the others; the next call
            without a shard completes the store and keeps what is finished.
        progress: Called with (done, all, failed) after each case.

    Returns:
        The cohort, failed cases included. With a shard, only its cases are written and returned.

    Raises:
        OutputError: If the folder cannot be written to.
        InputError: If a case failed and `keep_going` is not set.
    """
    part = shard.name if shard else None
    with output_folder(store, STORE, part=part):
        cohort = _preprocess(
            shard.of_items(cases) if shard else cases,
            store,
            config,
            limits=Limits.of(workers, memory_gib=memory_gib, seconds=case_seconds),
            keep_going=keep_going,
            progress=progress,
        )
        if shard is None:
            write_cohort(store, cohort)
    return cohort


def _preprocess(
    cases: Sequence[Case],
    store: Path,
    config: Config,
    *,
    limits: Limits,
    keep_going: bool,
    progress: Progress | None,
) -> Cohort:
    make_folder(store / "cases")
    make_folder(store / "qc")
    # The atlas takes seconds to load, in which the worker processes load theirs.
    with ThreadPoolExecutor(1) as beside:
        loading = beside.submit(route_for, config)
        route = loading.result() if limits.workers == 0 else None
        # Closed, so that no worker goes on when the run ends at a failure.
        with closing(outcomes(cases, store, config, limits)) as coming:
            found = _all_outcomes(coming, len(cases), keep_going, progress)
        route = route or loading.result()
    return Cohort(
        spacing_mm=route.grid.spacing_mm,
        grid=route.grid.kind,
        settings=route.settings,
        channels=config.channels,
        labels=config.labels,
        classes=class_names(cases),
        cases=tuple(outcome.stored for outcome in found if outcome.stored),
        failed=tuple(_failed(outcome) for outcome in found if outcome.stored is None),
    )


def _all_outcomes(
    coming: Iterable[Outcome], total: int, keep_going: bool, progress: Progress | None
) -> list[Outcome]:
    found: list[Outcome] = []
    failed = 0
    for outcome in coming:
        found.append(outcome)
        failed += outcome.stored is None
        if progress:
            progress(len(found), total, failed)
        if outcome.reason and not keep_going:
            raise InputError(
                f"case {outcome.case_id} failed and the run was to end there: {outcome.reason}",
                remedy="Mend or remove it and repeat the command: what is finished is kept.",
            )
    return found


def _failed(outcome: Outcome) -> FailedCase:
    return FailedCase(case_id=outcome.case_id, reason=outcome.reason or "", quality=outcome.quality)
