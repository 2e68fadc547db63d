"""`write_store_qc`: the quality control page of a store, a sortable table of all cases."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from plgg.core.files import write_text
from plgg.data.quality import Attempt, Quality, Verdict
from plgg.data.store import Store, read_record
from plgg.data.store_records import Cohort
from plgg.report.numbers import count, duration
from plgg.report.parts import Facts, Tile, status_word
from plgg.report.template import render

UNJUDGED = "not judged"
# The worst first.
_COLOURS = {"failed": "#d5432f", "doubtful": "#e69f00", UNJUDGED: "#8b97a3", "good": "#009e73"}
_ORDER = tuple(_COLOURS)


@dataclass(frozen=True)
class Row:
    """One case.

    Attributes:
        case_id: Its name.
        reason: Why it failed; empty otherwise.
        quality: Verdicts and registration attempts; None if no gates were run.
        warnings: Warnings of the data check.
        picture: Path from the page; empty where there is none.
    """

    case_id: str
    reason: str
    quality: Quality | None
    warnings: tuple[str, ...]
    picture: str

    @property
    def status(self) -> str:
        """`failed`, the status of the quality, or `not judged` without one."""
        judged = self.quality.status if self.quality else UNJUDGED
        return "failed" if self.reason else judged

    @property
    def rank(self) -> int:
        """Place of the status, the worst first."""
        return _ORDER.index(self.status)

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """By gate; a case need not have all."""
        return {one.gate: one for one in self.quality.verdicts} if self.quality else {}

    @property
    def notes(self) -> list[Verdict]:
        """Verdicts that are not good, failed ones first, without those that the reason quotes."""
        verdicts = self.quality.verdicts if self.quality else ()
        poor = [v for v in verdicts if v.status != "good" and v.message not in self.reason]
        return sorted(poor, key=lambda verdict: verdict.status != "failed")

    @property
    def accepted(self) -> Attempt | None:
        """The accepted registration attempt; None if there is none."""
        attempts = self.quality.attempts if self.quality else ()
        return next((attempt for attempt in attempts if attempt.accepted), None)

    @property
    def seconds(self) -> float | None:
        """Total time of all steps; None where unknown."""
        spent = self.quality.seconds if self.quality else {}
        return sum(spent.values()) if spent else None


def rows_of(store: Store) -> tuple[Row, ...]:
    """A row for each case that is stored or has failed.

    Raises:
        StoreError: If a stored case's record is missing.
    """
    folder = store.folder
    rows = [
        Row(case.case_id, case.reason or "failed", case.quality, (), _picture(folder, case.case_id))
        for case in store.cohort.failed
    ]
    rows += [
        Row(name, "", read_record(folder, name).quality, case.warnings, _picture(folder, name))
        for name, case in store.by_id.items()
    ]
    return tuple(sorted(rows, key=lambda row: (row.rank, row.case_id)))


def gates_of(rows: Iterable[Row]) -> tuple[str, ...]:
    """All gates that judged any case, in the order they are met."""
    return tuple(dict.fromkeys(gate for row in rows for gate in row.verdicts))


def _picture(folder: Path, case_id: str) -> str:
    there = (folder / "qc" / f"{case_id}.png").is_file()
    return f"qc/{quote(case_id)}.png" if there else ""


def _digits(rows: Iterable[Row]) -> dict[str, int]:
    """Decimals for each gate, by the median size of its values."""
    sizes: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        for gate, verdict in row.verdicts.items():
            sizes[gate] += [] if verdict.value is None else [abs(verdict.value)]
    return {gate: _decimals(statistics.median(found or [0.0])) for gate, found in sizes.items()}


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
    """The variables of the template, from the store's records."""
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
        "digits": _digits(rows),
        "rows": rows,
    }


def _sentence(counts: dict[str, int], n: int) -> str:
    """A line that counts the cases and says where to look first."""
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
    atlases = sorted({row.quality.atlas for row in rows if row.quality and row.quality.atlas})
    return (
        ("Atlas", ", ".join(atlases) or settings.atlas),
        ("Grid", cohort.voxels),
        ("Registration", settings.registration),
        ("Skull stripping", settings.stripping),
        ("Bias field", "taken out" if settings.n4 else "left in the stored intensities"),
    )


def _clock(seconds: float | None) -> str:
    return f"{seconds:.1f} s" if seconds is not None and seconds < 60 else duration(seconds)
