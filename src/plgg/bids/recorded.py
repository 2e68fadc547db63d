"""What became of each scan, as the records of the participant level say it."""

from __future__ import annotations

from pathlib import Path

from plgg.bids.dataset import BidsScan
from plgg.bids.outcome import BidsOutcome
from plgg.bids.record import ScanRecord, read_record_file, record_path
from plgg.bids.request import BidsRequest
from plgg.core.errors import InputError, PlggError
from plgg.core.prediction_files import RESULT
from plgg.data.result import read_result


def recorded_outcome(request: BidsRequest, scan: BidsScan) -> BidsOutcome:
    """What became of a scan of the dataset."""
    path = record_path(request, scan.subject, scan.name)
    if not path.exists():
        return BidsOutcome(scan, "not predicted", reason="the participant level has not met it")
    return outcome_of_record(request, scan, path)


def outcome_of_record(request: BidsRequest, scan: BidsScan | str, path: Path) -> BidsOutcome:
    """What a record says, and the result that it stands for."""
    try:
        record = read_record_file(path)
        if record.status == "failed":
            return BidsOutcome(scan, "failed", reason=record.reason or "not known")
        if record.status == "writing":
            return BidsOutcome(scan, "not predicted", reason="the participant level was stopped")
        _require_files(request, record)
        return BidsOutcome(scan, "done", read_result(path.with_suffix("") / RESULT))
    except PlggError as error:
        return BidsOutcome(scan, "failed", reason=error.what)


def _require_files(request: BidsRequest, record: ScanRecord) -> None:
    """A scan whose derivatives were taken away is not done."""
    for name in record.files:
        if not (request.out / name).is_file():
            raise InputError("lacks a derivative", where=name, remedy="Run the participant level.")
