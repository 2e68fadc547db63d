"""Write the BIDS derivatives of a prediction atomically, and never over files of others."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from plgg.bids.dataset import BidsScan
from plgg.bids.labels import has_labels, labels_sidecar, lookup_table
from plgg.bids.record import read_scan_record, write_scan_record
from plgg.bids.request import BidsRequest
from plgg.bids.sidecar import mask_sidecar, probability_sidecar
from plgg.core.errors import OutputError
from plgg.core.files import atomic_write, sha256, split_aside
from plgg.core.paths import join_inside
from plgg.core.prediction_files import LABELS, MASK, PROBABILITY, REPORT
from plgg.data.result import Result

Hashes = dict[str, tuple[str, ...]]


def write_derivatives(request: BidsRequest, scan: BidsScan, result: Result) -> None:
    """Write the derivatives of a prediction; files that are up to date are kept.

    Their hashes are recorded before they are written, so that files of a process that was killed
    are recognised as plgg's own.

    Args:
        request: Names the output folder.
        scan: The scan.
        result: Result of its prediction, which is in the work folder.

    Raises:
        OutputError: If a file was changed or is not plgg's, or cannot be written.
    """
    contents = dict(_contents(request, scan, result))
    new: Hashes = {path: (hashlib.sha256(data).hexdigest(),) for path, data in contents.items()}
    record = read_scan_record(request, scan)
    known: Hashes = dict(record.files) if record else {}
    both = {path: tuple(dict.fromkeys((*known.get(path, ()), *new[path]))) for path in new}
    targets = {path: _target(request.out, path) for path in contents}
    there = {path: _hash(target) for path, target in targets.items()}
    _require_own(targets, there, both)
    done = {**known, **new}
    if record and record.status == "done" and all(there[path] == new[path][0] for path in new):
        return
    write_scan_record(request, scan, "writing", files={**known, **both})
    for path, data in contents.items():
        _clear_leftovers(targets[path])
        if there[path] != new[path][0]:
            with atomic_write(targets[path]) as aside:
                aside.write_bytes(data)
    write_scan_record(request, scan, "done", files=done)


def _contents(request: BidsRequest, scan: BidsScan, result: Result) -> Iterator[tuple[str, bytes]]:
    made = request.work(scan.subject) / scan.name
    yield scan.derivative("mask.nii.gz"), (made / MASK).read_bytes()
    yield scan.derivative("mask.json"), _json(mask_sidecar(scan, result))
    yield scan.derivative("probseg.nii.gz"), (made / PROBABILITY).read_bytes()
    yield scan.derivative("probseg.json"), _json(probability_sidecar(scan, result))
    if has_labels(result):
        yield scan.derivative("dseg.nii.gz"), (made / LABELS).read_bytes()
        yield scan.derivative("dseg.json"), _json(labels_sidecar(scan, result))
        yield scan.derivative("dseg.tsv"), lookup_table(result).encode()
    if (made / REPORT).is_file():
        yield f"reports/{scan.name}.html", (made / REPORT).read_bytes()


def _json(record: Mapping[str, Any]) -> bytes:
    text = json.dumps(record, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    return text.encode("utf-8", "backslashreplace")


def _target(out: Path, path: str) -> Path:
    return join_inside(out, *PurePosixPath(path).parts, error=OutputError)


def _clear_leftovers(target: Path) -> None:
    """Remove partial files of a killed process; the participant's lock excludes other writers."""
    for path in target.parent.glob(f".plgg-new-*.{target.name}"):
        if split_aside(path.name) == ("new", target.name):
            path.unlink(missing_ok=True)


def _hash(path: Path) -> str | None:
    """SHA-256 of a file, None if nothing is there, `not a file` for anything else."""
    if path.is_symlink() or (path.exists() and not path.is_file()):
        return "not a file"
    return sha256(path) if path.exists() else None


def _require_own(
    targets: Mapping[str, Path], there: Mapping[str, str | None], known: Hashes
) -> None:
    for path, target in targets.items():
        if there[path] is not None and there[path] not in known[path]:
            raise OutputError(
                "was altered since, or plgg did not write it",
                where=target,
                remedy="Move it away, or choose another output folder.",
            )
