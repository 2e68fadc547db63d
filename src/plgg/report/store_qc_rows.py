"""The rows of the QC page: one a case, the worst first, as texts. Knows nothing of HTML."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from plgg.io.quality import Attempt, Quality, Status, Verdict
from plgg.io.store import Store, read_record

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
