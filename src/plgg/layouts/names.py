"""Names of patients and scans that can name folders, and no two alike.

Spaces, accents and signs are replaced, and every change is told. Knows nothing of layouts.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from plgg.layouts.found import Found, LeftOut, Scan, listed


def with_safe_names(found: Found) -> Found:
    """The scans under names that a manifest takes; those that share one are left out."""
    by_name: dict[str, list[tuple[Scan, Scan]]] = defaultdict(list)
    for scan in found.scans:
        safe = replace(scan, patient_id=_safe(scan.patient_id), scan_id=_safe(scan.scan_id))
        # Some file systems do not tell 'A' from 'a'.
        by_name[safe.name.casefold()].append((scan, safe))
    left_out = [twin for group in by_name.values() if len(group) > 1 for twin in _twins(group)]
    alone = [group[0] for group in by_name.values() if len(group) == 1]
    left_out += [
        LeftOut(old.name, "has no Latin letter or digit in its name")
        for old, new in alone
        if not new.patient_id
    ]
    kept = [(old, new) for old, new in alone if new.patient_id]
    renamed = {
        old.patient_id: new.patient_id for old, new in kept if new.patient_id != old.patient_id
    }
    notes = [f"Renamed: {listed(f'{a!r} is {b}' for a, b in renamed.items())}."] if renamed else []
    return Found(
        tuple(new for _, new in kept), (*found.left_out, *left_out), (*found.notes, *notes)
    )


def _safe(name: str) -> str:
    """Letters, digits, '.', '_' and '-', the first a letter or digit."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9._-]+", "_", plain.strip()).lstrip("._-").rstrip("_")


def _twins(group: Iterable[tuple[Scan, Scan]]) -> list[LeftOut]:
    pairs = list(group)
    places = listed(old.flair for old, _ in pairs)
    return [
        LeftOut(old.name, f"{len(pairs)} scans would be called {new.name} ({places}); rename one")
        for old, new in pairs
    ]
