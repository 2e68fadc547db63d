"""`write_store_qc`: all cases of a store with their verdicts and pictures on one page to sort.

Reads the store's records and names its pictures (`STORE/qc/CASE.png`), which stay beside the page.
It opens offline, and without scripts too. Judges nothing.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path

import plgg
from plgg.io.files import write_text
from plgg.io.store import Cohort, Store
from plgg.report import template
from plgg.report.numbers import count, duration
from plgg.report.store_qc_rows import UNJUDGED, Row, gates_of, rows_of

_COLOURS = {
    "failed": "#d5432f",
    "doubtful": "#e69f00",
    UNJUDGED: "#8b97a3",
    "good": "#009e73",
}


@dataclass(frozen=True)
class Tally:
    """How many cases have a status; also a button that shows only these."""

    status: str
    n: int
    colour: str


@dataclass(frozen=True)
class QcPage:
    """All that the template shows."""

    name: str
    sentence: str
    tallies: tuple[Tally, ...]
    median: str
    worst: str
    slowest: str
    facts: tuple[tuple[str, str], ...]
    gates: tuple[str, ...]
    rows: tuple[Row, ...]
    version: str = plgg.__version__


def write_store_qc(store: Path) -> Path:
    """Write `qc.html` into a store; the same store gives the same bytes.

    Args:
        store: The store's folder.

    Returns:
        Path of the page.

    Raises:
        StoreError: If it is not a store, or a case's record is missing.
        OutputError: If the page cannot be written.
    """
    opened = Store(store)
    path = store / "qc.html"
    write_text(path, render(make_page(opened)))
    return path


def make_page(store: Store) -> QcPage:
    """What the page says, from the store's records."""
    rows = rows_of(store)
    times = [(row.seconds, row.case_id) for row in rows if row.seconds is not None]
    worst, slowest = max(times, default=(None, ""))
    tallies = tuple(
        Tally(status, n, colour)
        for status, colour in _COLOURS.items()
        if (n := sum(row.status == status for row in rows)) or status != UNJUDGED
    )
    return QcPage(
        name=store.folder.resolve().name,
        sentence=_sentence(tallies, len(rows)),
        tallies=tallies,
        median=_clock(statistics.median(s for s, _ in times) if times else None),
        worst=_clock(worst),
        slowest=slowest,
        facts=_facts(store.cohort, rows),
        gates=gates_of(rows),
        rows=rows,
    )


def _sentence(tallies: tuple[Tally, ...], n: int) -> str:
    """What to do, in a line."""
    found = {tally.status: tally.n for tally in tallies}
    if n and found["good"] == n:
        return f"{count(n, 'case').capitalize()}, all good. Still, look through the pictures."
    if not n:
        return "No case is in this store."
    told = []
    if found["failed"]:
        told.append(f"{found['failed']} failed and {_are(found['failed'])} not in the store")
    if found["doubtful"]:
        told.append(f"{found['doubtful']} {_are(found['doubtful'])} doubtful: look there first")
    if found.get(UNJUDGED):
        told.append(f"{found[UNJUDGED]} {_are(found[UNJUDGED])} from before there were gates")
    return f"Of {count(n, 'case')}, {'; '.join(told)}."


def _are(n: int) -> str:
    return "is" if n == 1 else "are"


def _facts(cohort: Cohort, rows: tuple[Row, ...]) -> tuple[tuple[str, str], ...]:
    settings = cohort.settings
    atlases = sorted({row.atlas for row in rows if row.atlas})
    return (
        ("Atlas", ", ".join(atlases) or settings.atlas),
        ("Spacing", f"{cohort.spacing_mm:g} mm"),
        ("Registration", settings.registration),
        ("Skull stripping", settings.stripping),
        ("Bias field", "taken out" if settings.n4 else "left in the stored intensities"),
    )


def _clock(seconds: float | None) -> str:
    return f"{seconds:.1f} s" if seconds is not None and seconds < 60 else duration(seconds)


def render(page: QcPage) -> str:
    """The page as one HTML text; whatever comes from data is escaped."""
    return template.render("store_qc.html", page, pictures_beside=True)
