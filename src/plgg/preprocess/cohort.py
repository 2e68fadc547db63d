"""A manifest into a store: each case on its own, none dropped silently, none done twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from plgg.config import Config
from plgg.errors import InputError
from plgg.io.files import make_folder
from plgg.io.manifest import Case, class_names
from plgg.io.output import STORE, output_folder
from plgg.io.store import Cohort, FailedCase, write_cohort
from plgg.preprocess.route import route_for
from plgg.preprocess.stored import Outcome
from plgg.preprocess.workers import CASE_SECONDS, Limits, outcomes
from plgg.watch import Progress


def preprocess_cohort(
    cases: Sequence[Case],
    store: Path,
    config: Config,
    *,
    workers: int = 0,
    memory_gib: float | None = None,
    case_seconds: float | None = CASE_SECONDS,
    keep_going: bool = True,
    progress: Progress | None = None,
) -> Cohort:
    """Prepare every case and write the store; cases that are there and unchanged are kept.

    Args:
        cases: Rows of the manifest.
        store: Folder to write.
        config: Its grid and its settings of preprocessing.
        workers: Processes; fewer are used where memory does not hold them. A case that hangs,
            kills its process or takes too much memory costs only itself there. 0 does the work in
            this process instead, without limits, which saves seconds where cases are tiny.
        memory_gib: Memory that they may take together; what is free by default.
        case_seconds: After which a case is stopped; None for no limit.
        keep_going: Go on after a case that failed. Otherwise the first failure ends the run:
            what is finished is kept for the next one, and the store is not completed.
        progress: Called with (done, all, failed) after each case.

    Returns:
        The cohort as written, failed cases included.

    Raises:
        OutputError: If the folder cannot be written to.
        InputError: If a case failed and `keep_going` is not set.
    """
    with output_folder(store, STORE):
        return _preprocess(
            cases,
            store,
            config,
            limits=Limits.of(workers, memory_gib=memory_gib, seconds=case_seconds),
            keep_going=keep_going,
            progress=progress,
        )


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
        found = _all_outcomes(
            outcomes(cases, store, config, limits), len(cases), keep_going, progress
        )
        route = route or loading.result()
    cohort = Cohort(
        spacing_mm=route.spacing_mm,
        settings=route.settings,
        classes=class_names(cases),
        cases=tuple(outcome.stored for outcome in found if outcome.stored),
        failed=tuple(_failed(outcome) for outcome in found if outcome.stored is None),
    )
    write_cohort(store, cohort)
    return cohort


def _all_outcomes(
    coming: Iterator[Outcome], total: int, keep_going: bool, progress: Progress | None
) -> list[Outcome]:
    found: list[Outcome] = []
    for outcome in coming:
        found.append(outcome)
        if progress:
            progress(len(found), total, sum(one.stored is None for one in found))
        if outcome.reason and not keep_going:
            raise InputError(
                f"case {outcome.case_id} failed and the run was to end there: {outcome.reason}",
                remedy="Mend or remove it and repeat the command: what is finished is kept.",
            )
    return found


def _failed(outcome: Outcome) -> FailedCase:
    return FailedCase(case_id=outcome.case_id, reason=outcome.reason or "", quality=outcome.quality)
