"""A manifest as a table: columns that may be meant to be read, rows cut short, placeholders.

The reader leaves unknown columns alone, so a misspelt one would silently be no column at all.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from plgg.check.finding import Finding, listed
from plgg.io.manifest import OPTIONAL, Case, read_manifest, read_table
from plgg.io.read_csv import Table
from plgg.io.unknown import known

_LOGGER = logging.getLogger(__name__)
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
    table = read_table(path)
    return [*_misspelt(table.header), *_short(table), *_unknown(table)]


def read_unchecked(path: Path) -> list[Case]:
    """The scans of a manifest, for commands that do not check it.

    What a check would warn of in its columns is logged.

    Raises:
        ManifestError: If the manifest cannot be read.
    """
    cases = read_manifest(path)
    for finding in check_columns(path):
        if finding.severity == "warning":
            end = "" if finding.message.endswith("?") else "."
            _LOGGER.warning("%s: %s%s %s", path, finding.message, end, finding.remedy)
    return cases


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


def _short(table: Table) -> list[Finding]:
    """Rows that end before the last column: a file may have been cut while it was written."""
    short = [line.number for line in table.lines if line.n_cells < len(table.header)]
    if not short:
        return []
    lines = listed(f"line {number}" for number in short)
    return [
        Finding(
            "warning",
            "row-width",
            None,
            f"{lines}: fewer cells than the header has columns, and the rest counts as blank",
            "Check that nothing was cut off, and write a delimiter for each blank cell.",
        )
    ]


def _unknown(table: Table) -> list[Finding]:
    """What was written where nothing is known, so that no class is lost without a word."""
    counts = Counter(
        cell
        for row in table.rows()
        for name, cell in row.items()
        if name in OPTIONAL and cell and known(cell) is None
    )
    if not counts:
        return []
    shown = listed(f"{cell!r} ({n})" for cell, n in counts.most_common())
    # Beside `+`, a `-` is a result; it is still taken as blank, but not in passing.
    signs = {row.get("marker", "") for row in table.rows()} & {"+", "-", "−", "–"}
    return [
        Finding(
            "warning" if "+" in signs and len(signs) > 1 else "note",
            "placeholder",
            None,
            f"cells that say that nothing is known are taken as blank: {shown}",
            "Nothing, unless one of them is meant as a value.",
        )
    ]
