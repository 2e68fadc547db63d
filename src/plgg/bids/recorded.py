"""Outcomes of scans, read from the records of the participant level."""

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
    """The outcome of a scan of the dataset, from its record."""
    path = record_path(request, scan.subject, scan.name)
    if not path.exists():
        return BidsOutcome(scan, "not predicted", reason="the participant level has not met it")
    return outcome_of_record(request, scan, path)


def outcome_of_record(request: BidsRequest, scan: BidsScan | str, path: Path) -> BidsOutcome:
    """Make an outcome from a record and the result beside it."""
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
    """Check that all derivatives in a record exist."""
    for name in record.files:
        if not (request.out / name).is_file():
            raise InputError("lacks a derivative", where=name, remedy="Run the participant level.")
