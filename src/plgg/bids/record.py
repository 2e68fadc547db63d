"""`ScanRecord`: status of one scan, beside its prediction in OUT_DIR/sourcedata/plgg/sub-X."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from plgg.bids.dataset import BidsScan
from plgg.bids.request import BidsRequest
from plgg.core.case_id import CaseId
from plgg.core.errors import InputError
from plgg.core.files import write_json
from plgg.core.paths import RelativePath
from plgg.core.records import read_record

Status = Literal["writing", "done", "failed"]


class ScanRecord(BaseModel):
    """The contents of `NAME.json`.

    Attributes:
        name: Name of the scan.
        source: Its file in the BIDS dataset.
        status: `writing` while derivatives are written; if that is interrupted, they are made
            again.
        reason: Why it failed.
        files: SHA-256 of each derivative, by its path; a file with another hash was changed by
            someone. While they are written, old and new hashes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["plgg-bids-scan"] = "plgg-bids-scan"
    version: Literal[1] = 1
    name: CaseId
    subject: CaseId
    session: str = ""
    source: RelativePath
    status: Status
    reason: str | None = None
    files: dict[RelativePath, tuple[str, ...]] = {}


def record_path(request: BidsRequest, subject: str, name: str) -> Path:
    """Path of the record of a scan."""
    return request.work(subject) / f"{name}.json"


def read_scan_record(request: BidsRequest, scan: BidsScan) -> ScanRecord | None:
    """Read the record of a scan; None if there is none.

    Raises:
        InputError: If the record is not one that plgg wrote.
    """
    path = record_path(request, scan.subject, scan.name)
    return read_record_file(path) if path.exists() else None


def read_record_file(path: Path) -> ScanRecord:
    """Read a record from its file.

    Raises:
        InputError: If it is not one that plgg wrote.
    """
    return read_record(
        path,
        ScanRecord,
        error=InputError,
        what="is not the record of a scan",
        remedy="Move it away, and run the participant level again.",
    )


def write_scan_record(
    request: BidsRequest,
    scan: BidsScan,
    status: Status,
    *,
    reason: str | None = None,
    files: Mapping[str, tuple[str, ...]],
) -> None:
    """Write the record of a scan.

    Raises:
        OutputError: If it cannot be written.
    """
    record = ScanRecord(
        name=scan.name,
        subject=scan.subject,
        session=scan.session,
        source=next(iter(scan.sources.values())),
        status=status,
        reason=reason,
        files=dict(files),
    )
    path = record_path(request, scan.subject, scan.name)
    write_json(path, record.model_dump(mode="json"))
