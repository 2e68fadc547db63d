"""A manifest's header and the width of its rows: what the reader lets pass without a word.

The reader leaves unknown columns alone, so a misspelt one would silently be no column at all.
Knows nothing of what the cells mean.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from plgg.check.finding import Finding, listed
from plgg.io.manifest import OPTIONAL

_MEANT = {
    "age": "age_years",
    "gender": "sex",
    "genotype": "marker",
    "molecular": "marker",
    "label": "marker",
    "class": "marker",
    "seg": "mask",
    "segmentation": "mask",
    "center": "site",
    "centre": "site",
    "hospital": "site",
    "session": "scan_id",
    "session_id": "scan_id",
}


def check_columns(path: Path) -> list[Finding]:
    """Findings about the columns of a manifest that can be read."""
    header, *rows = _cells(path)
    return [*_misspelt(header), *_too_wide(header, rows)]


def _cells(path: Path) -> list[list[str]]:
    text = path.read_text(encoding="utf-8-sig")
    header = text.split("\n", 1)[0]
    # The reader's own rule.
    delimiter = max(",;\t", key=header.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    return [[cell.strip() for cell in row] for row in rows]


def _misspelt(header: Sequence[str]) -> list[Finding]:
    absent = [name for name in OPTIONAL if name not in header]
    pairs = [(name, _meant(name, absent)) for name in header if name]
    return [
        Finding(
            "warning",
            "column-unknown",
            None,
            f"the column {name!r} is not read; is {meant!r} meant?",
            f"Rename it to {meant!r} if so.",
        )
        for name, meant in pairs
        if meant
    ]


def _meant(name: str, absent: Sequence[str]) -> str | None:
    if name in OPTIONAL:
        return None
    simple = name.casefold().replace(" ", "_").replace("-", "_")
    guess = _MEANT.get(simple)
    if guess in absent:
        return guess
    return next(iter(get_close_matches(simple, absent, n=1, cutoff=0.75)), None)


def _too_wide(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[Finding]:
    wide = [f"line {number}" for number, row in enumerate(rows, start=2) if any(row[len(header) :])]
    if not wide:
        return []
    return [
        Finding(
            "warning",
            "row-width",
            None,
            f"{listed(wide)}: more cells than the header has columns",
            "Put quotes around cells that hold the delimiter.",
        )
    ]
