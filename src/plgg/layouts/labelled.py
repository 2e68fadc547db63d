"""Labels from a table of the user's own, joined to the scans of any layout.

Knows nothing of layouts. What the table says goes before what the layout says.
"""

from __future__ import annotations

from dataclasses import replace

from plgg.errors import ManifestError
from plgg.layouts.found import Choices, Found, listed
from plgg.layouts.tables import (
    by_patient,
    columns,
    key,
    labels_of,
    marker_columns,
    read_table,
)


def with_labels(found: Found, choices: Choices) -> Found:
    """The scans with the labels of `choices.labels`, and notes on who is in one of both only.

    Raises:
        ManifestError: If the table cannot be read, lacks patient_id, or names a patient twice.
    """
    path = choices.labels
    if path is None:
        return found
    table = read_table(path)
    if "patient_id" not in columns(table):
        raise ManifestError(
            f"lacks the column patient_id (it has: {', '.join(columns(table)) or 'none'})",
            where=path,
            remedy="Name the patients in a column patient_id.",
        )
    rows = by_patient(table, "patient_id", path)
    wanted = (choices.marker_column or "").casefold()
    column = wanted if wanted in columns(table) else next(iter(marker_columns(table)), None)
    scans = [
        replace(
            scan,
            labels=labels_of(
                rows.get(key(scan.patient_id), {}), column, where=f"{path}, {scan.patient_id}"
            ).filled_from(scan.labels),
        )
        for scan in found.scans
    ]
    here = {key(scan.patient_id) for scan in found.scans}
    unknown = [row["patient_id"] for name, row in rows.items() if name not in here]
    unnamed = sorted({s.patient_id for s in found.scans if key(s.patient_id) not in rows})
    notes = [
        (unknown, f"In {path.name}, but no scan is used: {listed(unknown)}."),
        (unnamed, f"Not in {path.name}: {listed(unnamed)}."),
        (wanted and column != wanted, f"{path.name} has no column {choices.marker_column!r}."),
    ]
    return replace(
        found, scans=tuple(scans), notes=(*found.notes, *(note for is_so, note in notes if is_so))
    )
