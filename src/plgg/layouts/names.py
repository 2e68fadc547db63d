"""Names of patients and scans that can name folders, and no two alike.

Spaces, accents and signs are replaced, and every change is told. Knows nothing of layouts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from plgg.io.case_id import case_id_fault, safe_case_id
from plgg.layouts.found import Found, LeftOut, Scan, listed


def with_safe_names(found: Found) -> Found:
    """The scans under names that a manifest takes; those that share one are left out."""
    by_name: dict[str, list[tuple[Scan, Scan]]] = defaultdict(list)
    for scan in found.scans:
        safe = replace(
            scan, patient_id=safe_case_id(scan.patient_id), scan_id=safe_case_id(scan.scan_id)
        )
        # Some file systems do not tell 'A' from 'a'.
        by_name[safe.name.casefold()].append((scan, safe))
    left_out = [twin for group in by_name.values() if len(group) > 1 for twin in _twins(group)]
    alone = [group[0] for group in by_name.values() if len(group) == 1]
    faults = [(old, _fault(new)) for old, new in alone]
    left_out += [LeftOut(old.name, fault) for old, fault in faults if fault]
    kept = [(old, new) for old, new in alone if not _fault(new)]
    renamed = {
        old.patient_id: new.patient_id for old, new in kept if new.patient_id != old.patient_id
    }
    notes = [f"Renamed: {listed(f'{a!r} is {b}' for a, b in renamed.items())}."] if renamed else []
    return Found(
        tuple(new for _, new in kept), (*found.left_out, *left_out), (*found.notes, *notes)
    )


def _fault(scan: Scan) -> str | None:
    """Why a scan's name can be no case's, in a clause; None if it can."""
    if not scan.patient_id:
        return "has no Latin letter or digit in its name"
    fault = case_id_fault(scan.name)
    return f"its name {fault}; rename it" if fault else None


def _twins(group: Iterable[tuple[Scan, Scan]]) -> list[LeftOut]:
    pairs = list(group)
    places = listed(old.flair for old, _ in pairs)
    return [
        LeftOut(old.name, f"{len(pairs)} scans would be called {new.name} ({places}); rename one")
        for old, new in pairs
    ]
