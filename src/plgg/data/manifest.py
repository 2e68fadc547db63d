"""The manifest: a cohort as a CSV file with one row a scan.

Columns `patient_id, flair` and, each optional and possibly blank, `mask, marker, scan_id, site,
age_years, sex`. A blank mask or marker is unknown, and so is one that only says so
(`plgg.core.tables`). Case and blanks in a column's name do not matter; other columns are kept as
text, for tasks that name them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from plgg.core.case_id import first_twin, patient_id_fault, require_case_id, shown
from plgg.core.errors import ManifestError
from plgg.core.tables import Table, column_key, known, read_csv, write_csv

REQUIRED = ("patient_id", "flair")
OPTIONAL = ("mask", "marker", "scan_id", "site", "age_years", "sex")
COLUMNS = (*REQUIRED, *OPTIONAL)


@dataclass(frozen=True)
class Case:
    """One scan of one patient, as the manifest states it.

    Attributes:
        case_id: Unique name of the scan: the patient, and the scan where a patient has several.
        patient_id: Scans of one patient never part into different splits.
        flair: Path of the FLAIR.
        mask: Path of the tumour mask; None where unknown.
        marker: Name of the molecular class; None where unknown.
        site: Hospital or scanner; None where unknown.
        age_years: Age at the scan in years; None where unknown.
        sex: As the manifest writes it; None where unknown.
        columns: What the manifest's other columns say, where they say something.
    """

    case_id: str
    patient_id: str
    flair: Path
    mask: Path | None = None
    marker: str | None = None
    site: str | None = None
    age_years: float | None = None
    sex: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict, hash=False)


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
    """The manifest as text, with the columns that are needed; known names as `COLUMNS` has them.

    Raises:
        ManifestError: If it cannot be read as a table, lacks a needed column, or has a column that
            is read twice.
    """
    table = read_csv(path, error=ManifestError, once=COLUMNS)
    keys = [column_key(name) for name in table.header]
    named = zip(keys, table.header, strict=True)
    table = replace(table, header=tuple(key if key in COLUMNS else name for key, name in named))
    missing = [name for name in REQUIRED if name not in table.header]
    if missing:
        there = ", ".join(table.header) or "none"
        raise ManifestError(
            f"lacks the column {' and '.join(missing)} (it has: {there})",
            where=path,
            remedy=f"The columns are {', '.join(COLUMNS)}; the first two are needed.",
        )
    return table


def _case(row: dict[str, str], where: str, folder: Path) -> Case:
    cells = {name: known(row.get(name)) for name in COLUMNS}
    patient, flair = row["patient_id"], cells["flair"]
    if not patient or not (flair or row["flair"] == "."):
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
        # As the cell has it: a file's name may be written in another Unicode form.
        flair=folder / row["flair"],
        mask=folder / row["mask"] if mask else None,
        marker=cells["marker"],
        site=cells["site"],
        age_years=_number(cells["age_years"] or "", where),
        sex=cells["sex"],
        columns=_other_columns(row),
    )


def _other_columns(row: Mapping[str, str]) -> dict[str, str]:
    """Cells that are not plgg's own and say something, by their columns."""
    cells = {name.strip(): known(text) for name, text in row.items() if name not in COLUMNS}
    return {name: text for name, text in cells.items() if name and text is not None}


TARGET_COLUMNS = ("marker", "site", "age_years", "sex")
"""Columns of plgg's own that a task may name."""


class Labelled(Protocol):
    """What targets are read from: a row of a manifest, or a case of a store."""

    @property
    def columns(self) -> Mapping[str, str]:
        """The columns that are not plgg's own."""


def target_text(case: Labelled, column: str) -> str | None:
    """What a column says of a case, as text; None where it is unknown.

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
            f"patient_id {shown(patient)} {fault}", where=where, remedy="Give a shorter plain name."
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
    twin = first_twin(case.case_id for case in cases)
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
    rows = (_row(case, scan_ids.get(case.case_id, ""), path.parent) for case in cases)
    write_csv(path, COLUMNS, rows)


def _row(case: Case, scan_id: str, folder: Path) -> list[str]:
    def relative(image: Path | None) -> str:
        return "" if image is None else Path(os.path.relpath(image, folder)).as_posix()

    age = "" if case.age_years is None else repr(float(case.age_years)).removesuffix(".0")
    return [
        case.patient_id,
        relative(case.flair),
        relative(case.mask),
        case.marker or "",
        scan_id,
        case.site or "",
        age,
        case.sex or "",
    ]


def class_names(cases: Iterable[Case]) -> tuple[str, ...]:
    """The marker classes that occur, in alphabetical order."""
    return tuple(sorted({case.marker for case in cases if case.marker is not None}))
