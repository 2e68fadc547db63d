"""`write_store_qc`: the quality control of a store, all cases on one page to sort."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from plgg.core.files import write_text
from plgg.data.quality import Attempt, Quality, Status, Verdict
from plgg.data.store import Cohort, Store, read_record
from plgg.report.numbers import count, duration
from plgg.report.parts import Facts, Tile, status_word
from plgg.report.template import render

UNJUDGED = "not judged"
# The worst first.
_COLOURS = {"failed": "#d5432f", "doubtful": "#e69f00", UNJUDGED: "#8b97a3", "good": "#009e73"}
_ORDER = tuple(_COLOURS)


@dataclass(frozen=True)
class Cell:
    """The verdict of one gate, for its column.

    Attributes:
        text: The value as a plain number, so that it sorts; a word where nothing was measured.
        status: Of the verdict; empty where the gate was not asked.
        sentence: The whole verdict in words.
    """

    text: str = ""
    status: str = ""
    sentence: str = ""


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
        stripping: How it was skull-stripped.
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
    failed = [(case.case_id, case.reason, case.quality, ()) for case in store.cohort.failed]
    stored = [
        (name, None, read_record(store.folder, name).quality, case.warnings)
        for name, case in store.by_id.items()
    ]
    digits = _digits(quality for _, _, quality, _ in (*failed, *stored))
    rows = (_row(store.folder, *one, digits=digits) for one in (*failed, *stored))
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
    word = status_word(verdict.status)
    text = word if verdict.value is None else f"{verdict.value:.{digits}f}"
    wanted = f"; wanted: {verdict.limits}" if verdict.limits else ""
    return Cell(text, verdict.status, f"{word}: {verdict.message}{wanted}")


def _digits(qualities: Iterable[Quality | None]) -> dict[str, int]:
    """Decimals for each gate, by the size of what it usually measures."""
    values: dict[str, list[float]] = {}
    for quality in qualities:
        for verdict in quality.verdicts if quality else ():
            sizes = values.setdefault(verdict.gate, [])
            if verdict.value is not None:
                sizes.append(abs(verdict.value))
    return {gate: _decimals(statistics.median(s or [0.0])) for gate, s in values.items()}


def _decimals(size: float) -> int:
    """About three digits in all."""
    return next((digits for digits, least in enumerate((100.0, 10.0, 1.0)) if size >= least), 3)


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
    write_text(path, render("store_qc.html", _page(opened), pictures_beside=True))
    return path


def _page(store: Store) -> dict[str, object]:
    """What the page says, from the store's records."""
    rows = rows_of(store)
    times = [(row.seconds, row.case_id) for row in rows if row.seconds is not None]
    worst, slowest = max(times, default=(None, ""))
    counts = {status: sum(row.status == status for row in rows) for status in _ORDER}
    tallies = [(s, status_word(s).capitalize(), n) for s, n in counts.items() if n or s != UNJUDGED]
    median = _clock(statistics.median(s for s, _ in times) if times else None)
    note = f"worst {_clock(worst)}" + (f": {slowest}" if slowest else "")
    return {
        "name": store.folder.resolve().name,
        "sentence": _sentence(counts, len(rows)),
        "tiles": [
            *(Tile(word, str(n), colour=_COLOURS[s]) for s, word, n in tallies),
            Tile("Time a case, median", median, note),
        ],
        # Each is a button that shows only its cases.
        "tallies": [tally for tally in tallies if tally[-1]],
        "facts": _facts(store.cohort, rows),
        "gates": gates_of(rows),
        "rows": rows,
    }


def _sentence(counts: dict[str, int], n: int) -> str:
    """What to do, in a line."""
    if n and counts["good"] == n:
        return f"{count(n, 'case').capitalize()}, all good. Still, look through the pictures."
    if not n:
        return "No case is in this store."
    failed, doubtful, unjudged = (counts[status] for status in _ORDER[:3])
    clauses = (
        f"{failed} failed and {_are(failed)} not in the store" if failed else "",
        f"{doubtful} {_are(doubtful)} flagged: look there first" if doubtful else "",
        f"{unjudged} {_are(unjudged)} from before there were gates" if unjudged else "",
    )
    return f"Of {count(n, 'case')}, {'; '.join(filter(None, clauses))}."


def _are(n: int) -> str:
    return "is" if n == 1 else "are"


def _facts(cohort: Cohort, rows: tuple[Row, ...]) -> Facts:
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
