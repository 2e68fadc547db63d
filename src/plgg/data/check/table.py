"""Checks of a manifest: columns, classes, blanks, contradictions.

The reader accepts unknown columns, so a misspelt standard column would be ignored silently.
"""

from __future__ import annotations

import logging
import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

from plgg.core.patient import male
from plgg.core.tables import Table, is_placeholder, is_suspicious, known
from plgg.data.check.report import Finding, listed
from plgg.data.manifest import OPTIONAL, OTHERS, Case, read_manifest, read_table

_LOGGER = logging.getLogger(__name__)
_MEANT = {
    "age": "age_years",
    "gender": "sex",
    "genotype": "marker",
    "molecular": "marker",
    "label": "marker",
    "class": "marker",
    "seg": "mask",
    "segmentation": "mask",
    "center": "site",
    "centre": "site",
    "hospital": "site",
    "session": "scan_id",
    "session_id": "scan_id",
}


def check_columns(path: Path) -> list[Finding]:
    """Findings about the columns of a manifest that can be read."""
    table = read_table(path)
    return [*_misspelt(table.header), *_short(table), *_unknown(table)]


def read_manifest_with_warnings(path: Path) -> list[Case]:
    """Read a manifest for commands that do not check it.

    Warnings about its columns are logged.

    Raises:
        ManifestError: If the manifest cannot be read.
    """
    cases = read_manifest(path)
    for finding in check_columns(path):
        if finding.severity == "warning":
            end = "" if finding.message.endswith("?") else "."
            _LOGGER.warning("%s: %s%s %s", path, finding.message, end, finding.remedy)
    return cases


def _misspelt(header: Sequence[str]) -> list[Finding]:
    absent = [name for name in OPTIONAL if name not in header]
    pairs = [(name, _intended_column(name, absent)) for name in header if name]
    return [
        Finding(
            "warning",
            "column-unknown",
            None,
            f"the column {name!r} is not read; is {meant!r} meant?",
            f"Rename it to {meant!r} if so.",
        )
        for name, meant in pairs
        if meant
    ]


def _intended_column(name: str, absent: Sequence[str]) -> str | None:
    if name in OPTIONAL or name in OTHERS:
        return None
    simple = name.casefold().replace(" ", "_").replace("-", "_")
    guess = _MEANT.get(simple)
    if guess in absent:
        return guess
    return next(iter(get_close_matches(simple, absent, n=1, cutoff=0.75)), None)


def _short(table: Table) -> list[Finding]:
    """Rows that end before the last column: a file may have been cut while it was written."""
    short = [line.number for line in table.lines if line.n_cells < len(table.header)]
    if not short:
        return []
    lines = listed(f"line {number}" for number in short)
    return [
        Finding(
            "warning",
            "row-width",
            None,
            f"{lines}: fewer cells than the header has columns, and the rest counts as blank",
            "Check that nothing was cut off, and write a delimiter for each blank cell.",
        )
    ]


def _unknown(table: Table) -> list[Finding]:
    """Report placeholders that are taken as blank, so that no class is lost silently."""
    counts = Counter(
        cell
        for row in table.rows()
        for name, cell in row.items()
        if name in OPTIONAL and cell and known(cell) is None
    )
    if not counts:
        return []
    shown = listed(f"{cell!r} ({n})" for cell, n in counts.most_common())
    # Beside `+`, a `-` is probably a result: it is taken as blank, but with a warning.
    signs = {row.get("marker", "") for row in table.rows()} & {"+", "-", "−", "–"}
    return [
        Finding(
            "warning" if "+" in signs and len(signs) > 1 else "note",
            "placeholder",
            None,
            f"cells that say that nothing is known are taken as blank: {shown}",
            "Nothing, unless one of them is meant as a value.",
        )
    ]


MIN_PATIENTS_A_CLASS = 3
OLDEST_YEARS = 110.0


def check_labels(cases: Sequence[Case]) -> list[Finding]:
    """Findings about markers, sex and patient names."""
    return [
        *_blanks(cases),
        *_classes(cases),
        *_spellings(cases),
        *_nameless(cases),
        *_ages(cases),
        *_sexes(cases),
        *_contradictions(cases, "marker", lambda case: case.marker),
        *_contradictions(cases, "sex", _sex),
    ]


def patients_by_class(cases: Iterable[Case]) -> dict[str, set[str]]:
    """Patients of each marker class, in alphabetical order of the classes."""
    patients: dict[str, set[str]] = defaultdict(set)
    for case in cases:
        if case.marker is not None:
            patients[case.marker].add(case.patient_id)
    return dict(sorted(patients.items()))


def _blanks(cases: Sequence[Case]) -> list[Finding]:
    n_marker = sum(case.marker is None for case in cases)
    n_mask = sum(case.mask is None for case in cases)
    findings = []
    if n_marker:
        findings.append(
            _note(
                "marker-unknown",
                f"{n_marker} of {len(cases)} scans have no marker",
                "They teach the outline only.",
            )
        )
    if n_mask:
        findings.append(
            _note(
                "mask-unknown",
                f"{n_mask} of {len(cases)} scans have no mask",
                "They teach the marker only.",
            )
        )
    return findings


def _classes(cases: Sequence[Case]) -> list[Finding]:
    patients = patients_by_class(cases)
    findings = [
        _warning(
            "marker-placeholder",
            f"the marker {name!r} counts as a class of its own",
            "If it means that the marker is unknown or in doubt, leave the cell blank.",
        )
        for name in patients
        if is_suspicious(name)
    ]
    if len(patients) == 1:
        findings.append(
            _warning(
                "marker-single",
                f"all known markers are {next(iter(patients))!r}",
                "A marker can be learned only from two classes or more.",
            )
        )
    rare = [name for name, who in patients.items() if len(who) < MIN_PATIENTS_A_CLASS]
    findings += [
        _warning(
            "marker-rare",
            f"the class {name!r} has {len(patients[name])} patient(s)",
            "It cannot be in training, validation and test at once: join it with another class, "
            "or leave it blank.",
        )
        for name in rare
    ]
    return findings


def _spellings(cases: Sequence[Case]) -> list[Finding]:
    markers = _alike(patients_by_class(cases), _marker_key)
    patients = _alike((case.patient_id for case in cases), _patient_key)
    return [
        *(
            _warning(
                "marker-similar",
                f"the classes {listed(names)} differ only in spelling",
                "Spell them alike if they are one class.",
            )
            for names in markers
        ),
        *(
            _warning(
                "patient-similar",
                f"the patients {listed(names)} differ only in spelling",
                "Spell them alike if they are one patient: scans of one patient must not part "
                "into training and test.",
            )
            for names in patients
        ),
    ]


def _marker_key(name: str) -> str:
    """Normalise the spelling of a class for comparison: 1, 1.0 and 01 are equal."""
    plain = unicodedata.normalize("NFKC", name)
    if re.fullmatch(r"[+-]?\d+([.,]\d+)?", plain, re.ASCII):
        return f"{float(plain.replace(',', '.')):g}"
    return re.sub(r"[\W_]+", "", plain)


def _patient_key(name: str) -> str:
    """Normalise a patient's name: without punctuation and leading zeros, as in spreadsheets."""
    return re.sub(r"(?<!\d)0+(?=\d)", "", re.sub(r"[\W_]+", "-", name))


def _nameless(cases: Sequence[Case]) -> list[Finding]:
    names = sorted({case.patient_id for case in cases if is_placeholder(case.patient_id)})
    return [
        _warning(
            "patient-placeholder",
            f"the patient {name!r} looks like one whose name is not known",
            "Give each patient a name of their own: scans under one patient_id count as one's.",
        )
        for name in names
    ]


def _ages(cases: Sequence[Case]) -> list[Finding]:
    old = [case for case in cases if case.age_years is not None and case.age_years > OLDEST_YEARS]
    if not old:
        return []
    shown = listed(f"{case.case_id}: {case.age_years:g}" for case in old)
    return [
        _warning(
            "age-implausible",
            f"{len(old)} of {len(cases)} scans have an age over {OLDEST_YEARS:g} years ({shown})",
            "Check that age_years holds years, not months or days.",
        )
    ]


def _sexes(cases: Sequence[Case]) -> list[Finding]:
    unread = {case.sex for case in cases if case.sex and math.isnan(male(case.sex))}
    if not unread:
        return []
    shown = listed(repr(sex) for sex in sorted(unread))
    return [
        _warning(
            "sex-unread",
            f"what the column sex says is not understood, and counts as unknown: {shown}",
            "Write F or M, or leave the cell blank.",
        )
    ]


def _sex(case: Case) -> str | None:
    """One letter for the sex, None where it is not understood."""
    is_male = male(case.sex)
    return None if math.isnan(is_male) else "FM"[int(is_male)]


def _alike(names: Iterable[str], simplify: Callable[[str], str]) -> list[list[str]]:
    """Groups of different names that are equal when simplified; case is ignored."""
    groups: dict[str, set[str]] = defaultdict(set)
    for name in names:
        # A name of signs only ('+' and '-') has nothing left to compare.
        groups[simplify(name).casefold() or name].add(name)
    return [sorted(group) for group in groups.values() if len(group) > 1]


def _contradictions(
    cases: Sequence[Case], column: str, value: Callable[[Case], str | None]
) -> list[Finding]:
    values: Mapping[str, set[str]] = defaultdict(set)
    for case in cases:
        known = value(case)
        if known:
            values[case.patient_id].add(known)
    return [
        _warning(
            f"{column}-conflict",
            f"the scans of patient {patient!r} differ in {column} ({listed(sorted(found))})",
            "Mend the wrong row, or give different patients different patient_ids.",
        )
        for patient, found in values.items()
        if len(found) > 1
    ]


def _warning(code: str, message: str, remedy: str) -> Finding:
    return Finding("warning", code, None, message, remedy)


def _note(code: str, message: str, remedy: str) -> Finding:
    return Finding("note", code, None, message, remedy)
