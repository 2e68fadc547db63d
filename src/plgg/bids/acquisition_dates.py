"""Acquisition dates of scans in a BIDS dataset, and the order of a participant's sessions.

Dates come from `acq_time` in `*_scans.tsv`, else in `sub-*_sessions.tsv`. A dataset may shift all
dates of a participant by the same number of days: only the days between scans are used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path

from plgg.bids.dataset import BidsScan
from plgg.core.errors import PlggError
from plgg.data.layouts.labels import read_table

_DATE = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?Z?)?", re.ASCII)
Rows = list[dict[str, str]]
_Place = tuple[int, tuple[tuple[int, str], ...], str]
Order = Callable[[str], _Place]
"""A key by which sessions are sorted."""


def acquisition_date(root: Path, scan: BidsScan, notes: list[str]) -> date | None:
    """The date of a scan; None where the dataset does not say it.

    Args:
        root: The dataset.
        scan: A scan of it.
        notes: List to which notes on unreadable tables and invalid dates are added.
    """
    source = next(iter(scan.sources.values()))
    # Beside the session's folders, or the participant's where there are no sessions.
    folder = (root / source).parent.parent
    base = "_".join(filter(None, (scan.subject, scan.session)))
    tables = [
        (folder / f"{base}_scans.tsv", "filename", _same_file(folder, root / source)),
        (_sessions(root, scan.subject), "session_id", _same_session(scan.session)),
    ]
    for path, column, fits in tables:
        for row in _rows(path, notes):
            if fits(row.get(column, "")) and row.get("acq_time"):
                found = parse_date(row["acq_time"])
                if found is None:
                    notes.append(f"{path.name}: the acq_time of {scan.name} is no date")
                return found
    return None


def _same_file(folder: Path, file: Path) -> Callable[[str], bool]:
    wanted = file.relative_to(folder).as_posix()
    return lambda said: said.replace("\\", "/").removeprefix("./") == wanted


def _same_session(session: str) -> Callable[[str], bool]:
    wanted = session.removeprefix("ses-")
    return lambda said: bool(wanted) and said.removeprefix("ses-") == wanted


def parse_date(text: str) -> date | None:
    """The date of an `acq_time`.

    >>> parse_date("1897-06-15T13:45:30"), parse_date("2024-02-30T00:00:00"), parse_date("spring")
    (datetime.date(1897, 6, 15), None, None)
    """
    found = _DATE.fullmatch(text.strip())
    try:
        return date.fromisoformat(found[1]) if found else None
    except ValueError:
        return None


def session_order(root: Path, subject: str, notes: list[str]) -> Order:
    """A key that sorts a participant's sessions: as `sub-*_sessions.tsv` lists them, then by label.

    Numbers within labels count as numbers: `ses-2` comes before `ses-10`.
    """
    listed: Mapping[str, int] = {
        row.get("session_id", "").removeprefix("ses-"): number
        for number, row in reversed([*enumerate(_rows(_sessions(root, subject), notes))])
    }

    def key(session: str) -> _Place:
        label = session.removeprefix("ses-")
        parts = re.split(r"(\d+)", label)
        natural = tuple((int(p), "") if p.isdigit() else (-1, p) for p in parts)
        return (listed.get(label, len(listed)), natural, label)

    return key


def _sessions(root: Path, subject: str) -> Path:
    return root / subject / f"{subject}_sessions.tsv"


def _rows(path: Path, notes: list[str]) -> Rows:
    if not path.is_file():
        return []
    try:
        return read_table(path)
    except PlggError as error:
        note = f"{path.name} {error.what}, so its dates are not known"
        if note not in notes:
            notes.append(note)
        return []
