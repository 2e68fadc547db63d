"""The participant level: predict every FLAIR and write its derivatives, or record its failure.

Processes for other participants may use the same output folder at the same time: each locks the
work folder of the participant whose scan it predicts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import psutil

from plgg.bids.dataset import BidsDataset, BidsScan
from plgg.bids.derive import write_derivatives
from plgg.bids.description import prepare_output
from plgg.bids.outcome import BidsOutcome, left_out
from plgg.bids.record import read_scan_record, write_scan_record
from plgg.bids.request import BidsRequest
from plgg.core.errors import InputError, PlggError
from plgg.core.output import PREDICTIONS, output_folder
from plgg.core.progress import Watch
from plgg.core.workers import JobOutcome, in_workers
from plgg.data.layouts.bids import NO_FLAIR
from plgg.data.result import Result
from plgg.predict.batch import Request
from plgg.predict.scan import Predictor, try_predict
from plgg.predict.source import scan_from_case

_GIB = 2**30


def predict_participants(
    request: BidsRequest, dataset: BidsDataset, watch: Watch
) -> list[BidsOutcome]:
    """Predict all scans of a dataset that are asked for.

    Args:
        request: Models, options and output folder.
        dataset: The scans.
        watch: Told of the progress.

    Returns:
        An outcome for each scan, and for each participant that has none.

    Raises:
        PlggError: If models, dataset and output folder do not fit together; no scan is predicted
            then.
    """
    if not dataset.scans and not dataset.left_out:
        raise InputError(f"the dataset {NO_FLAIR}", where=request.root, remedy="Check the labels.")
    outcomes = [left_out(one) for one in dataset.left_out]
    if not dataset.scans:
        return outcomes
    predictor = _predictor(request, dataset.scans)
    prepare_output(request, [member.model.sha256 for member in predictor.networks.members])
    with watch.task("predicting") as progress:
        for n, outcome in enumerate(_outcomes(request, dataset.scans, predictor), start=1):
            outcomes.append(outcome)
            progress(n, len(dataset.scans), sum(one.status == "failed" for one in outcomes))
    return outcomes


def _predictor(request: BidsRequest, scans: Sequence[BidsScan]) -> Predictor:
    wanted = Request((request.root,), request.runs, request.out, request.options)
    return wanted.predictor([scan_from_case(scan.case) for scan in scans])


def _outcomes(
    request: BidsRequest, scans: Sequence[BidsScan], predictor: Predictor
) -> Iterator[BidsOutcome]:
    """Predict scans one by one in a worker process; a single one in this process."""
    if len(scans) == 1:
        yield _predict(request, predictor, scans[0])
        return
    del predictor  # The worker has its own.
    options = request.options
    done = in_workers(
        [scan.name for scan in scans],
        _predict_named,
        start=partial(_load_worker_state, request, scans),
        workers=1,
        seconds=60.0 * options.case_minutes,
        gib=options.case_gib or float(psutil.virtual_memory().available) / _GIB,
    )
    for scan, outcome in zip(scans, done, strict=True):
        yield outcome.result or _killed_outcome(request, scan, outcome)


_WorkerState = tuple[BidsRequest, Predictor, dict[str, BidsScan]]


def _load_worker_state(request: BidsRequest, scans: Sequence[BidsScan]) -> _WorkerState:
    return request, _predictor(request, scans), {scan.name: scan for scan in scans}


def _predict_named(ready: _WorkerState, name: str) -> BidsOutcome:
    request, predictor, scans = ready
    return _predict(request, predictor, scans[name])


def _predict(request: BidsRequest, predictor: Predictor, scan: BidsScan) -> BidsOutcome:
    """Predict a scan and write its derivatives; an error becomes the reason in its outcome."""
    work = request.work(scan.subject)
    try:
        with output_folder(work, PREDICTIONS, inputs=[*scan.case.images.values()]):
            outcome = try_predict(scan_from_case(scan.case), predictor, work)
            reason = outcome.reason or _derive(request, scan, outcome.result)
            if reason:
                return _failed(request, scan, reason)
            return BidsOutcome(scan, "done", outcome.result)
    except PlggError as error:  # Another process holds the participant, or the disk refuses.
        return BidsOutcome(scan, "failed", reason=_without_root(str(error), request))


def _derive(request: BidsRequest, scan: BidsScan, result: Result | None) -> str | None:
    """Write the derivatives; returns the reason of a failure, or None."""
    try:
        if result:
            write_derivatives(request, scan, result)
    except PlggError as error:
        return str(error)
    return None


def _failed(request: BidsRequest, scan: BidsScan, reason: str) -> BidsOutcome:
    """Record a failure; files of an earlier run stay, and stay recorded as plgg's own."""
    said = _without_root(reason, request)
    known = read_scan_record(request, scan)
    write_scan_record(request, scan, "failed", reason=said, files=known.files if known else {})
    return BidsOutcome(scan, "failed", reason=said)


def _killed_outcome(
    request: BidsRequest, scan: BidsScan, outcome: JobOutcome[BidsOutcome]
) -> BidsOutcome:
    """Outcome of a scan whose worker process was killed or stopped at a limit."""
    remedy = {
        "time": "Look at the scan, or give it longer (--case-minutes).",
        "memory": "Is the scan as large as it should be? Give more (--case-gib), or --memory.",
    }.get(outcome.failure or "", "Predict it alone, or convert it again.")
    reason = f"{outcome.reason}. {remedy}"
    try:
        with output_folder(request.work(scan.subject), PREDICTIONS):
            return _failed(request, scan, reason)
    except PlggError:
        return BidsOutcome(scan, "failed", reason=_without_root(reason, request))


def _without_root(reason: str, request: BidsRequest) -> str:
    """Make paths in a reason relative to the datasets, as it is shown in tables and pages."""
    for folder in (request.out, request.root):
        for path in dict.fromkeys((folder, folder.absolute(), folder.resolve())):
            if path != Path():
                reason = reason.replace(f"{path}/", "")
    return reason
