"""The manifest: a cohort as a CSV file with one row a scan.

Columns `patient_id, flair` and, each optional and possibly blank, `mask, marker, scan_id, site,
age_years, sex`, and paths of other sequences: `t1, t1c, t2, pd, swi, adc`. At least one sequence is
required. The mask is on the grid of the reference, which is the FLAIR where that is used. A blank
mask or marker is unknown, and so is a placeholder such as `n/a` (`plgg.core.tables`). Case and
blanks in a column's name do not matter. Other columns are read as text, for the tasks that name
them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from plgg.config import SEQUENCES, Label
from plgg.core.case_id import first_duplicate, patient_id_fault, quoted, require_case_id
from plgg.core.errors import InputError, ManifestError
from plgg.core.tables import Table, column_key, known, read_csv, write_csv

REQUIRED = ("patient_id", "flair")
OTHERS = tuple(name for name in SEQUENCES if name != "flair")
OPTIONAL = ("mask", "marker", "scan_id", "site", "age_years", "sex")
COLUMNS = (*REQUIRED, *OPTIONAL)
READ = (*COLUMNS, *OTHERS)


@dataclass(frozen=True)
class StoredLabels:
    """The label map of a case in a store.

    Attributes:
        path: Path of the map on the native grid (`plgg.data.labels`).
        labels: Labels that it was made with.
        known: Names of the labels that the mask annotates.
    """

    path: Path
    labels: tuple[Label, ...]
    known: tuple[str, ...]


@dataclass(frozen=True)
class Case:
    """One scan of one patient, as the manifest states it.

    Attributes:
        case_id: Unique name of the scan: the patient, and the scan where a patient has several.
        patient_id: Name of the patient, whose scans are always in the same part of a split.
        flair: Path of the FLAIR; None where there is none.
        mask: Path of the tumour mask; None where unknown.
        marker: Name of the molecular class; None where unknown.
        site: Hospital or scanner; None where unknown.
        age_years: Age at the scan in years; None where unknown.
        sex: As the manifest writes it; None where unknown.
        others: Paths of the other sequences, by name.
        columns: Known values of the manifest's other columns.
        stored_labels: Label map, for a case of a store that was made with labels.
    """

    case_id: str
    patient_id: str
    flair: Path | None
    mask: Path | None = None
    marker: str | None = None
    site: str | None = None
    age_years: float | None = None
    sex: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict, hash=False)
    others: Mapping[str, Path] = field(default_factory=dict, hash=False)
    stored_labels: StoredLabels | None = None

    @property
    def images(self) -> dict[str, Path]:
        """Paths of all sequences by name, the FLAIR first."""
        flair = {} if self.flair is None else {"flair": self.flair}
        return flair | {name: self.others[name] for name in OTHERS if name in self.others}

    def sequences(self, channels: Sequence[str] = SEQUENCES) -> dict[str, Path]:
        """Paths of the requested sequences that the case has; the first is the reference.

        Raises:
            InputError: If it has none of them.

        >>> case = Case("a", "a", Path("f.nii"), others={"t2": Path("t2.nii")})
        >>> list(case.sequences(("t2", "t1", "flair")))
        ['t2', 'flair']
        """
        images = self.images
        found = {name: images[name] for name in channels if name in images}
        if not found:
            raise InputError(
                f"has none of the sequences {', '.join(channels)} (it has: {', '.join(images)})",
                remedy="Name them in the manifest, or choose others: --set 'channels=[…]'.",
            )
        return found


def read_manifest(path: Path) -> list[Case]:
    """Read a manifest; image paths are relative to its folder.

    Raises:
        ManifestError: If the file or a needed column is missing, or a row cannot be a case.
    """
    table = read_table(path)
    cases = [
        _case(row, f"{path}, line {line.number}", path.parent)
        for line, row in zip(table.lines, table.rows(), strict=True)
    ]
    if not cases:
        raise ManifestError("holds no rows", where=path, remedy="Add one row for each scan.")
    _refuse_twins(cases, path)
    return cases


def read_table(path: Path) -> Table:
    """Read the manifest as text, check its columns and normalise the names of known ones.

    Raises:
        ManifestError: If it cannot be read as a table, lacks a needed column, or has a column that
            is read twice.
    """
    table = read_csv(path, error=ManifestError, once=READ)
    keys = [column_key(name) for name in table.header]
    named = zip(keys, table.header, strict=True)
    table = replace(table, header=tuple(key if key in READ else name for key, name in named))
    missing = [name for name in REQUIRED if name not in table.header]
    if set(OTHERS) & set(table.header):  # Another sequence may stand in the FLAIR's place.
        missing = [name for name in missing if name != "flair"]
    if missing:
        there = ", ".join(table.header) or "none"
        raise ManifestError(
            f"lacks the column {' and '.join(missing)} (it has: {there})",
            where=path,
            remedy=f"The columns are {', '.join(COLUMNS)}; the first two are needed.",
        )
    return table


def _case(row: dict[str, str], where: str, folder: Path) -> Case:
    cells = {name: known(row.get(name)) for name in READ}
    patient = row["patient_id"]
    # The raw cell: a file name may be in another Unicode form than its normalised text.
    images: dict[str, Path] = {
        n: folder / row[n] for n in SEQUENCES if cells[n] or row.get(n) == "."
    }
    if not patient or not images:
        raise ManifestError("patient_id or flair is blank", where=where, remedy="Fill it in.")
    case_id = require_case_id(
        _case_id(patient, cells["scan_id"] or ""),
        where=where,
        error=ManifestError,
        remedy="Use letters, digits, '.', '_' and '-' in patient_id and scan_id.",
    )
    _require_patient_id(patient, where)
    mask = cells["mask"]
    return Case(
        case_id=case_id,
        patient_id=patient,
        flair=images.pop("flair", None),
        mask=folder / row["mask"] if mask else None,
        marker=cells["marker"],
        site=cells["site"],
        age_years=_number(cells["age_years"] or "", where),
        sex=cells["sex"],
        columns=_other_columns(row),
        others=images,
    )


def _other_columns(row: Mapping[str, str]) -> dict[str, str]:
    """Known values of columns that are not plgg's own, by column."""
    cells = {name.strip(): known(text) for name, text in row.items() if name not in READ}
    return {name: text for name, text in cells.items() if name and text is not None}


TARGET_COLUMNS = ("marker", "site", "age_years", "sex")
"""Standard columns that can be the target of a task."""


class HasColumns(Protocol):
    """A record with targets of tasks: a row of a manifest, or a case of a store."""

    @property
    def columns(self) -> Mapping[str, str]:
        """Values of the columns that are not plgg's own."""


def target_text(case: HasColumns, column: str) -> str | None:
    """The value of a case in a column, as text; None where it is unknown.

    >>> target_text(Case("a", "a", Path("a.nii"), age_years=7.5, columns={"grade": "2"}), "grade")
    '2'
    """
    if column not in TARGET_COLUMNS:
        return case.columns.get(column)
    value = getattr(case, column)
    return repr(value) if isinstance(value, float) else value


def _case_id(patient: str, scan: str) -> str:
    if not scan or scan == patient:
        return patient
    return scan if scan.startswith(f"{patient}_") else f"{patient}_{scan}"


def _require_patient_id(patient: str, where: str) -> None:
    fault = patient_id_fault(patient)
    if fault:
        raise ManifestError(
            f"patient_id {quoted(patient)} {fault}",
            where=where,
            remedy="Give a shorter plain name.",
        )


def _number(text: str, where: str) -> float | None:
    if not text:
        return None
    written = re.fullmatch(r"\+?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?", text, re.ASCII)
    value = float(text.replace(",", ".")) if written else float("nan")
    if not 0 <= value < 150:
        raise ManifestError(
            f"age_years is {text!r}", where=where, remedy="Write years as a number, or leave blank."
        )
    return value


def _refuse_twins(cases: Sequence[Case], path: Path) -> None:
    twin = first_duplicate(case.case_id for case in cases)
    if twin is not None:
        raise ManifestError(
            f"two rows are called {twin!r}",
            where=path,
            remedy="Give each scan of a patient its own scan_id.",
        )


def write_manifest(path: Path, cases: Iterable[Case], *, scan_ids: dict[str, str]) -> None:
    """Write a manifest with paths relative to its folder.

    Args:
        path: Where to write.
        cases: The rows.
        scan_ids: `scan_id` of each case by `case_id`; a case that is not named gets a blank.
    """
    cases = list(cases)
    # After the standard columns, so that a manifest of FLAIRs alone has the same header as before.
    others = [name for name in OTHERS if any(name in case.others for case in cases)]
    rows = (
        [
            *_row(case, scan_ids.get(case.case_id, ""), path.parent),
            *(_relative(case.others.get(name), path.parent) for name in others),
        ]
        for case in cases
    )
    write_csv(path, (*COLUMNS, *others), rows)


def _relative(image: Path | None, folder: Path) -> str:
    return "" if image is None else Path(os.path.relpath(image, folder)).as_posix()


def _row(case: Case, scan_id: str, folder: Path) -> list[str]:
    age = "" if case.age_years is None else repr(float(case.age_years)).removesuffix(".0")
    return [
        case.patient_id,
        _relative(case.flair, folder),
        _relative(case.mask, folder),
        case.marker or "",
        scan_id,
        case.site or "",
        age,
        case.sex or "",
    ]


def class_names(cases: Iterable[Case]) -> tuple[str, ...]:
    """The marker classes that occur, in alphabetical order."""
    return tuple(sorted({case.marker for case in cases if case.marker is not None}))
