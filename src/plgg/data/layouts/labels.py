"""Tables of labels beside images: read as text and joined to the scans of any layout.

The table takes precedence over labels of the layout.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from plgg.core.errors import ManifestError
from plgg.core.tables import known, read_csv
from plgg.data.layouts.listing import Choices, Labels, Listing, listed


def with_labels(found: Listing, choices: Choices) -> Listing:
    """Join the labels of `choices.labels` to the scans; notes name patients in only one of both.

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


Row = Mapping[str, str]
"""Cells by column name in lower case."""

MARKERS = (
    "marker", "genotype", "molecular_subtype", "molecular_marker", "braf", "braf_status",
    "idh", "idh_status", "idh_mutation",
)  # fmt: skip
_AGES = {
    "age_years": 1.0, "age": 1.0, "age_at_scan": 1.0, "age_at_initial_pathologic": 1.0,
    "age_months": 12.0, "age_in_months": 12.0, "age_days": 365.25, "age_in_days": 365.25,
    "age_at_diagnosis_days": 365.25,
}  # fmt: skip
_SITES = ("site", "site_id", "center", "centre", "institution", "hospital")
_SEXES = ("sex", "gender")
_UNITS = {"y": 1.0, "m": 12.0, "w": 365.25 / 7.0, "d": 365.25}


def read_table(path: Path) -> list[dict[str, str]]:
    """Rows of a table by column names in lower case; cells that mean unknown are blank.

    Raises:
        ManifestError: If it cannot be read as a table, or has a column twice.
    """
    return [
        {name.casefold(): known(cell) or "" for name, cell in row.items() if name}
        for row in read_csv(path, error=ManifestError).rows()
    ]


def key(name: str) -> str:
    """Join key of a patient's name: without case, accents, kinds of separators and `sub-`."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().strip()
    return re.sub(r"[\W_]+", "-", (plain or name.strip()).casefold()).removeprefix("sub-")


def by_patient(rows: Iterable[Row], column: str, path: Path) -> dict[str, Row]:
    """Rows by `key` of the patient.

    Raises:
        ManifestError: If a patient has two rows.
    """
    found: dict[str, Row] = {}
    for row in rows:
        name = row.get(column, "")
        if name and key(name) in found:
            raise ManifestError(
                f"has two rows for {name!r}", where=path, remedy="Keep one row for each patient."
            )
        if name:
            found[key(name)] = row
    return found


def columns(rows: Sequence[Row]) -> list[str]:
    """Column names of a table's rows."""
    return [name for name in (rows[0] if rows else {}) if name]


def marker_columns(rows: Sequence[Row]) -> list[str]:
    """Columns that are known to be the marker, the likeliest first."""
    return [name for name in MARKERS if name in columns(rows)]


def labels_of(row: Row, marker_column: str | None, *, where: str) -> Labels:
    """Parse the labels of a row.

    Args:
        row: Cells of the row; none where nothing is known.
        marker_column: Which is the marker; None for none.
        where: The table and the row, for messages.

    Raises:
        ManifestError: If the age is invalid.
    """
    marker = row.get(marker_column.casefold(), "") if marker_column else ""
    return Labels(
        # Tables of numbered classes often come as 2.0 from a spreadsheet.
        marker=re.sub(r"^(\d+)\.0$", r"\1", marker) or None,
        site=_first(row, _SITES),
        age_years=_age(row, where),
        sex=_first(row, _SEXES),
    )


def _first(row: Row, names: Iterable[str]) -> str | None:
    return next((row[name] for name in names if row.get(name)), None)


def _age(row: Row, where: str) -> float | None:
    found = next((name for name in _AGES if row.get(name)), None)
    return None if found is None else age_years(row[found], per_year=_AGES[found], where=where)


def age_years(text: str, *, per_year: float = 1.0, where: str | None = None) -> float:
    """Years of an age such as `12.5`, `12,5`, `89+`, or DICOM's `034Y`, `018M`, `003W`, `010D`.

    Args:
        text: The age.
        per_year: How many of the unit make a year, where the text itself names no unit.
        where: The table and the row, for the message.

    Raises:
        ManifestError: If it is no age from 0 to 150 years.
    """
    match = re.fullmatch(r"(\d+(?:[.,]\d+)?)\s*([YMWD]?)\+?", text.strip(), flags=re.IGNORECASE)
    if match:
        number, unit = match.groups()
        years = float(number.replace(",", ".")) / _UNITS.get(unit.lower(), per_year)
        if years < 150:
            return round(years, 3)
    raise ManifestError(
        f"{text!r} is no age", where=where, remedy="Write years as a number, or n/a."
    )
