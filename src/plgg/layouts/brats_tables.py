"""The tables beside BraTS images: survival (Age) and name mapping (Grade, and others).

Any column can be the marker if it is named; none is by default, since a grade is no molecular
class. A folder HGG or LGG says the grade where no table does. Knows nothing of images.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from plgg.errors import ManifestError
from plgg.layouts.found import Choices, Labels
from plgg.layouts.tables import Row, columns, key, labels_of, read_table
from plgg.layouts.walk import files_below

_NAMES = ("name_mapping", "survival")
_GRADES = ("HGG", "LGG")


@dataclass(frozen=True)
class Tables:
    """Rows of the tables, by `key` of any name that a row holds."""

    rows: dict[str, dict[str, str]]
    marker_column: str | None
    notes: tuple[str, ...]

    def labels(self, name: str, flair: Path) -> Labels:
        """What the tables, and the folders above the scan, say of it.

        Raises:
            ManifestError: If the age is no age.
        """
        row = self.rows.get(key(name), {})
        grade = next((part for part in flair.parts if part in _GRADES), "")
        return labels_of(
            {"grade": grade} | {k: v for k, v in row.items() if v},
            self.marker_column,
            where=f"the tables, {name}",
        )


def read_tables(root: Path, choices: Choices) -> Tables:
    """All tables below a folder.

    Raises:
        ManifestError: If one cannot be read, or the wanted column is in none.
    """
    found = [
        path
        for path in files_below(root)
        if path.suffix.lower() in (".csv", ".tsv") and path.name.casefold().startswith(_NAMES)
    ]
    rows: dict[str, dict[str, str]] = {}
    known: dict[str, None] = {"grade": None}
    for path in found:
        table = read_table(path)
        known |= dict.fromkeys(columns(table))
        for row in table:
            _add(rows, row)
    wanted = choices.marker_column
    if wanted and wanted.casefold() not in known and choices.labels is None:
        raise ManifestError(
            f"no table has a column {wanted!r} (there are: {', '.join(known)})",
            where=root,
            remedy="Give another --marker-column, or a table with --labels.",
        )
    return Tables(rows, wanted, tuple(f"{path.name} is read." for path in found))


def _add(rows: dict[str, dict[str, str]], row: Row) -> None:
    """File a row under every name of a scan in it: a mapping has one column for each year."""
    for cell in row.values():
        if cell.casefold().startswith("brats"):
            rows[key(cell)] = rows.get(key(cell), {}) | {k: v for k, v in row.items() if v}
