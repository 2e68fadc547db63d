"""`write_store_qc`: all cases of a store with verdicts and pictures on one page to sort."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import plgg
from plgg.core.files import write_text
from plgg.data.quality import Attempt, Quality, Status, Verdict
from plgg.data.store import Cohort, Store, read_record
from plgg.report import template
from plgg.report.numbers import count, duration

UNJUDGED = "not judged"
_Found = tuple[str, str | None, Quality | None, tuple[str, ...]]
_ORDER = ("failed", "doubtful", UNJUDGED, "good")


@dataclass(frozen=True)
class Cell:
    """What one gate found, for its column.

    Attributes:
        text: The value as a plain number, so that it sorts; a word where nothing was measured.
        status: Of the verdict; empty where the gate was not asked.
        told: The whole verdict in words.
    """

    text: str = ""
    status: str = ""
    told: str = ""


@dataclass(frozen=True)
class Row:
    """One case.

    Attributes:
        case_id: Its name.
        status: Of its quality, or `not judged`.
        rank: Place of the status, the worst first.
        picture: Path from the page; empty where there is none.
        reason: Why it failed; empty otherwise.
        notes: What is not good.
        warnings: What the check warned of.
        cells: By gate; a case need not have all.
        accepted: How it was registered.
        attempts: What was tried.
        stripping: What took the skull off.
        atlas: Name of the atlas; empty where unknown.
        seconds: In all; None where unknown.
        steps: Seconds of each step, in words.
    """

    case_id: str
    status: str
    rank: int
    picture: str
    reason: str
    notes: tuple[Verdict, ...]
    warnings: tuple[str, ...]
    cells: dict[str, Cell]
    accepted: str
    attempts: tuple[Attempt, ...]
    stripping: str
    atlas: str
    seconds: float | None
    steps: str


def rows_of(store: Store) -> tuple[Row, ...]:
    """A row for each case that is stored or has failed.

    Raises:
        StoreError: If a stored case's record is missing.
    """
    found: list[_Found] = [
        (case.case_id, case.reason, case.quality, ()) for case in store.cohort.failed
    ]
    found += [
        (name, None, read_record(store.folder, name).quality, case.warnings)
        for name, case in store.by_id.items()
    ]
    digits = _digits(quality for _, _, quality, _ in found)
    rows = (_row(store.folder, *one, digits=digits) for one in found)
    return tuple(sorted(rows, key=lambda row: (row.rank, row.case_id)))


def gates_of(rows: Iterable[Row]) -> tuple[str, ...]:
    """All gates that judged any case, in the order they are met."""
    return tuple(dict.fromkeys(gate for row in rows for gate in row.cells))


def _row(
    folder: Path,
    case_id: str,
    reason: str | None,
    quality: Quality | None,
    warnings: tuple[str, ...],
    *,
    digits: dict[str, int],
) -> Row:
    status = _status(reason, quality)
    verdicts = quality.verdicts if quality else ()
    attempts = quality.attempts if quality else ()
    taken = next((attempt for attempt in attempts if attempt.accepted), None)
    seconds = quality.seconds if quality else {}
    return Row(
        case_id=case_id,
        status=status,
        rank=_ORDER.index(status),
        picture=_picture(folder, case_id),
        reason=reason or "",
        notes=tuple(_poor(verdicts, reason or "")),
        warnings=warnings,
        cells={verdict.gate: _cell(verdict, digits[verdict.gate]) for verdict in verdicts},
        accepted=f"{taken.engine} · {taken.model} · {taken.start}" if taken else "",
        attempts=attempts,
        stripping=quality.stripping if quality else "",
        atlas=quality.atlas if quality else "",
        seconds=sum(seconds.values()) if seconds else None,
        steps=", ".join(f"{step} {spent:.1f} s" for step, spent in seconds.items()),
    )


def _status(reason: str | None, quality: Quality | None) -> Status | str:
    if reason is not None:
        return "failed"
    return quality.status if quality else UNJUDGED


def _picture(folder: Path, case_id: str) -> str:
    there = (folder / "qc" / f"{case_id}.png").is_file()
    return f"qc/{quote(case_id)}.png" if there else ""


def _poor(verdicts: Iterable[Verdict], reason: str) -> Iterable[Verdict]:
    """Verdicts to be read, the failed first; not those that the reason already quotes."""
    poor = [v for v in verdicts if v.status != "good" and v.message not in reason]
    return sorted(poor, key=lambda verdict: verdict.status != "failed")


def _cell(verdict: Verdict, digits: int) -> Cell:
    # A plain hyphen for minus: the page sorts by what stands in the cell.
    text = verdict.status if verdict.value is None else f"{verdict.value:.{digits}f}"
    wanted = f"; wanted: {verdict.limits}" if verdict.limits else ""
    return Cell(text, verdict.status, f"{verdict.status}: {verdict.message}{wanted}")


def _digits(qualities: Iterable[Quality | None]) -> dict[str, int]:
    """Decimals for each gate, by the size of what it usually measures."""
    values: dict[str, list[float]] = {}
    for quality in qualities:
        for verdict in quality.verdicts if quality else ():
            kept = values.setdefault(verdict.gate, [])
            if verdict.value is not None:
                kept.append(abs(verdict.value))
    return {gate: _decimals(statistics.median(kept or [0.0])) for gate, kept in values.items()}


def _decimals(size: float) -> int:
    """About three digits in all."""
    return next((digits for digits, least in enumerate((100.0, 10.0, 1.0)) if size >= least), 3)


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
