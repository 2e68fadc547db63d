"""`CaseId` and `PatientId`: valid names of cases and patients, for paths, tables and records.

A case's name becomes a folder's on every system that plgg runs on, hence letters, digits, '.', '_'
and '-', the first a letter or digit, at most 100 of them, and no device of Windows.

    >>> require_case_id("P01_scan-2", where="manifest.csv, line 3")
    'P01_scan-2'
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from plgg.core.errors import InputError, PlggError

MAX_LENGTH = 100
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", flags=re.ASCII)
# Windows takes these for devices, whatever follows the first dot.
_DEVICES = frozenset(
    ["con", "prn", "aux", "nul"]
    + [f"{port}{number}" for port in ("com", "lpt") for number in range(10)]
)
_RENAME = "Use letters, digits, '.', '_' and '-', the first a letter or digit."


def case_id_fault(name: str) -> str | None:
    """Why a name is not a valid case ID, in a clause; None if it is."""
    if len(name) > MAX_LENGTH:
        return f"has {len(name)} characters, and {MAX_LENGTH} is the most"
    if not _SAFE.fullmatch(name) or name.endswith("."):
        return "cannot name a folder"
    if name.split(".")[0].lower() in _DEVICES:
        return "cannot name a folder: it is a device of Windows"
    return None


def require_case_id(
    name: str,
    *,
    where: str | Path | None,
    error: type[PlggError] = InputError,
    remedy: str = _RENAME,
) -> str:
    """Return a name if it is a valid case ID.

    Args:
        name: The name to check.
        where: The file and line that it comes from, for the message.
        error: Class of the error.
        remedy: What to do about it, for the message.

    Raises:
        PlggError: Of the class `error`, if the name is not a valid case ID.
    """
    fault = case_id_fault(name)
    if fault:
        raise error(f"{quoted(name)} {fault}", where=where, remedy=remedy)
    return name


def safe_case_id(text: str) -> str:
    """Convert a name to the characters of a case ID; blank if none of it can be kept.

    Accents are dropped, and whatever else cannot stay becomes '_':

        >>> safe_case_id("Zoë T2 (1)")
        'Zoe_T2_1'
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9._-]+", "_", plain.strip()).lstrip("._-").rstrip("_. ")


def case_id_of(text: str) -> str:
    """Make a valid case ID from a file's name, as similar to it as possible.

    >>> case_id_of("Zoë T2 (1)"), case_id_of("日本")
    ('Zoe_T2_1', 'scan-cf2abf0c')
    """
    name = safe_case_id(text)
    if case_id_fault(name) is None:
        return name
    digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
    return f"scan-{digest[:8]}"


def patient_id_fault(name: str) -> str | None:
    """Why a text is not a valid patient ID, in a clause; None if it is."""
    if len(name) > MAX_LENGTH:
        return f"has {len(name)} characters, and {MAX_LENGTH} is the most"
    # Control, format, surrogate and unassigned characters; line and paragraph separators.
    if any(unicodedata.category(letter) in {"Cc", "Cs", "Zl", "Zp"} for letter in name):
        return "holds characters that cannot be printed"
    return None


def quoted(name: str) -> str:
    """A name in quotation marks, ASCII and cut where it is long, for messages."""
    return ascii(name) if len(name) <= MAX_LENGTH else ascii(f"{name[:30]}…")


def first_duplicate(names: Iterable[str]) -> str | None:
    """The first duplicate name, or None; case is ignored, as by some file systems."""
    seen: set[str] = set()
    for name in names:
        if name.lower() in seen:
            return name
        seen.add(name.lower())
    return None


def _case_id(name: str) -> str:
    fault = case_id_fault(name)
    if fault:
        raise ValueError(f"{quoted(name)} {fault}")
    return name


def _patient_id(name: str) -> str:
    fault = patient_id_fault(name)
    if fault:
        raise ValueError(f"{quoted(name)} {fault}")
    return name


def _class_names(names: tuple[str, ...]) -> tuple[str, ...]:
    twin = next((name for name in names if names.count(name) > 1), None)
    if twin is not None:
        raise ValueError(f"the class {quoted(twin)} stands in it twice")
    return names


CaseId = Annotated[str, AfterValidator(_case_id)]
"""A case's name in a pydantic record."""
PatientId = Annotated[str, AfterValidator(_patient_id)]
"""A patient's name in a pydantic record: any words of 100 characters at most."""
ClassNames = Annotated[tuple[str, ...], AfterValidator(_class_names)]
"""The classes of a marker in a pydantic record, each of them once."""
