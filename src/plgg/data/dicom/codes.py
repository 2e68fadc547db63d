"""Codes of the measurement report: those of DICOM, SNOMED CT and UCUM, and plgg's own, `99PLGG`.

A private code is used only where the standard schemes have none (docs/dicom-objects.md). The codes
of marker classes and of gates are made from their names.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset

if TYPE_CHECKING:
    from highdicom.sr import CodedConcept

SCHEME = "99PLGG"
_LONGEST_MEANING = 64

PRIVATE_CODES = {
    "interval-low": "Lower end of the conformal interval of the volume",
    "interval-high": "Upper end of the conformal interval of the volume",
    "interval-level": "Chance that the interval holds the true volume",
    "interval-cases": "Patients by whose errors the interval was judged",
    "rapno": "RAPNO low-grade glioma (Fangusaro 2020)",
    "product": "Product of the largest and the perpendicular diameter",
    "plane": "Plane of the diameters",
    "marker": "Genetic marker",
    "withheld": "Withheld: not to be relied on",
    "reason": "Reason",
    "calibrated": "Probabilities are calibrated on validation patients",
    "good": "Good",
    "doubtful": "Doubtful",
    "failed": "Failed",
}
"""plgg's own codes and their meanings, but for marker classes and gates."""


def private_code(value: str, meaning: str | None = None) -> CodedConcept:
    """A private code.

    Args:
        value: A key of `PRIVATE_CODES`; with a meaning, any other code, as for a class or a gate.
        meaning: What it means.
    """
    from highdicom.sr import CodedConcept

    text = PRIVATE_CODES[value] if meaning is None else meaning
    return CodedConcept(value, SCHEME, _one_value(text)[:_LONGEST_MEANING])


def _one_value(text: str) -> str:
    """Text without the separator of DICOM values (backslash) and without spaces around it."""
    return text.replace("\\", "/").strip() or "?"


def marker_class(name: str) -> CodedConcept:
    """The code of a marker class: its name, or a hash of a name that is no valid code."""
    code = name if _one_value(name) == name else hashlib.sha256(name.encode()).hexdigest()[:16]
    return private_code(code, name)


def gate(name: str) -> CodedConcept:
    """The code of a quality gate."""
    return private_code(f"gate-{name}", f"Quality gate: {name.replace('-', ' ')}")


def unit(value: str, meaning: str) -> CodedConcept:
    """A unit of UCUM."""
    from highdicom.sr import CodedConcept

    return CodedConcept(value, "UCUM", meaning)


def scheme() -> Dataset:
    """The private scheme as an item of the Coding Scheme Identification Sequence."""
    item = Dataset()
    item.CodingSchemeDesignator = SCHEME
    item.CodingSchemeName = "Codes of plgg"
    item.CodingSchemeResponsibleOrganization = "The plgg developers"
    return item
