"""A manifest into a store: each case on its own, none dropped silently, none done twice."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import SimpleITK as sitk
from threadpoolctl import threadpool_limits

from plgg.check import require_usable
from plgg.config import GridConfig
from plgg.errors import PlggError
from plgg.io.files import make_folder, sha256
from plgg.io.manifest import Case, class_names
from plgg.io.store import (
    CaseRecord,
    Cohort,
    FailedCase,
    StoredCase,
    read_record,
    write_case,
    write_cohort,
)
from plgg.preprocess.case import prepare
from plgg.preprocess.grid import sri24_grid
from plgg.preprocess.qc import write_qc
from plgg.watch import Progress

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What became of a case: its record, or the reason why there is none."""

    case_id: str
    stored: StoredCase | None
    reason: str | None = None


def preprocess_cohort(
    cases: Sequence[Case],
    store: Path,
    settings: GridConfig,
    *,
    workers: int = 1,
    progress: Progress | None = None,
) -> Cohort:
    """Prepare every case and write the store; cases that are there and unchanged are kept.

    Args:
        cases: Rows of the manifest.
        store: Folder to write.
        settings: The grid.
        workers: Processes.
        progress: Called with (done, all) after each case.

    Returns:
        The cohort as written, failed cases included.

    Raises:
        OutputError: If the folder cannot be written to.
    """
    make_folder(store / "cases")
    make_folder(store / "qc")
    one = partial(_guarded, store=store, settings=settings)
    outcomes: list[Outcome] = []
    for outcome in _mapped(one, cases, workers):
        outcomes.append(outcome)
        if progress:
            progress(len(outcomes), len(cases))
    cohort = Cohort(
        spacing_mm=settings.spacing_mm,
        classes=class_names(cases),
        cases=tuple(outcome.stored for outcome in outcomes if outcome.stored),
        failed=tuple(
            FailedCase(case_id=outcome.case_id, reason=outcome.reason)
            for outcome in outcomes
            if outcome.reason
        ),
    )
    write_cohort(store, cohort)
    return cohort


def _mapped(
    one: Callable[[Case], Outcome], cases: Iterable[Case], workers: int
) -> Iterator[Outcome]:
    if workers <= 1:
        yield from map(one, cases)
        return
    # Spawned, not forked: the imaging libraries hold threads that do not survive a fork.
    spawn = get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn, initializer=_one_thread) as pool:
        yield from pool.map(one, cases)


def _one_thread() -> None:
    """A worker is one of many: threads of its own would only get into each other's way."""
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    threadpool_limits(1)


def _guarded(case: Case, *, store: Path, settings: GridConfig) -> Outcome:
    try:
        return Outcome(case.case_id, store_case(case, store, settings))
    except PlggError as error:
        return Outcome(case.case_id, None, str(error))
    except Exception as error:  # the one guard around a case of a batch
        log.exception("case %s failed unexpectedly", case.case_id)
        return Outcome(case.case_id, None, f"unexpected {type(error).__name__}: {error}")


def store_case(case: Case, store: Path, settings: GridConfig) -> StoredCase:
    """Prepare and write one case, unless the store holds it made from the same files.

    Raises:
        InputError: If the scan or the mask cannot be used.
    """
    hashes = _hashes(case)
    kept = _kept(case, store, settings, hashes)
    if kept:
        return kept
    flair, mask = require_usable(case)
    prepared = prepare(flair, mask, sri24_grid(settings.spacing_mm))
    stored = StoredCase(
        case_id=case.case_id,
        patient_id=case.patient_id,
        marker=case.marker,
        has_mask=mask is not None,
        site=case.site,
        age_years=case.age_years,
        sex=case.sex,
        flair=str(case.flair.resolve()),
        flair_sha256=hashes[0] or "",
        shape=prepared.placement.box_shape,
    )
    write_qc(store / "qc" / f"{case.case_id}.png", prepared, title=case.case_id)
    record = CaseRecord(
        case=stored,
        spacing_mm=settings.spacing_mm,
        placement=prepared.placement,
        mask_sha256=hashes[1],
    )
    truth = None if mask is None else mask.with_data(mask.data > 0)
    write_case(store, record, image=prepared.image, mask=prepared.mask, truth=truth)
    return stored


Hashes = tuple[str | None, str | None]


def _hashes(case: Case) -> Hashes:
    """SHA-256 of the scan and of the mask; None for a file that is not there."""
    scan, mask = case.flair, case.mask
    return (
        sha256(scan) if scan.is_file() else None,
        sha256(mask) if mask and mask.is_file() else None,
    )


def _kept(case: Case, store: Path, settings: GridConfig, hashes: Hashes) -> StoredCase | None:
    """The stored case, if it was made from these very files; labels follow the manifest."""
    try:
        record = read_record(store, case.case_id)
    except PlggError:
        return None
    same = (record.case.flair_sha256, record.mask_sha256) == hashes
    # A mask that is named but not there has no hash either, and must be told.
    named = record.case.has_mask == (case.mask is not None)
    if not same or not named or record.spacing_mm != settings.spacing_mm:
        return None
    return record.case.model_copy(
        update={
            "patient_id": case.patient_id,
            "marker": case.marker,
            "site": case.site,
            "age_years": case.age_years,
            "sex": case.sex,
            "flair": str(case.flair.resolve()),
        }
    )
