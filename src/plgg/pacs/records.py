"""Queries to a PACS and their results: studies, series, instances.

All texts in the results come from a server: show them to the user, and never write them to disk.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from plgg.core.errors import ConfigError, PlggError
from plgg.pacs.errors import PacsError

_UID = re.compile(r"[0-9]+(?:\.[0-9]+)+")
_DATE = re.compile(r"\d{8}(?:-\d{8})?|\d{8}-|-\d{8}")
_LONGEST = 64


def is_uid(text: object) -> bool:
    """Whether a value is a UID: digits and points, at most 64, so that it is a safe file name.

    >>> is_uid("1.2.840.10008.1.1"), is_uid("../../etc"), is_uid("1..2")
    (True, False, False)
    """
    return isinstance(text, str) and len(text) <= _LONGEST and _UID.fullmatch(text) is not None


def require_uid(text: str, *, where: str = "the UID", error: type[PlggError] = ConfigError) -> str:
    """Check that a text is a UID, and return it.

    Raises:
        PlggError: Of the class `error`, if it is not.
    """
    if not is_uid(text):
        raise error(
            "is no UID of DICOM (digits and points, at most 64)",
            where=where,
            remedy="Copy it from plgg pacs find.",
        )
    return text


def study_key(uid: str) -> str:
    """Name of a study on disk and in messages: a hash, which hides its UID.

    >>> study_key("1.2.3")
    'study-a6ca9a5efc15'
    """
    return f"study-{_digest(uid)[:12]}"


def content_of(counts: Mapping[str, int]) -> str:
    """A hash of the series of a study and their numbers of images.

    >>> content_of({"1.2": 3, "1.4": 5}) == content_of({"1.4": 5, "1.2": 3})
    True
    """
    return _digest(" ".join(f"{uid}:{counts[uid]}" for uid in sorted(counts)))[:16]


def image_name(uid: str) -> str:
    """File name of an instance: a hash, which hides its UID."""
    return f"image-{_digest(uid)[:24]}.dcm"


def _digest(uid: str) -> str:
    return hashlib.sha256(uid.encode()).hexdigest()


@dataclass(frozen=True)
class StudyQuery:
    """Search criteria for studies; None matches any.

    Attributes:
        patient: Patient ID, with * and ? for any letters.
        date: `YYYYMMDD`, or a range such as `20260101-20260131` or `20260101-`.
        description: Words in the description of the study or of one of its series.
        modality: Modality of one of its series.
        limit: Largest number of studies.
    """

    patient: str | None = None
    date: str | None = None
    description: str | None = None
    modality: str | None = None
    limit: int = 50

    def __post_init__(self) -> None:
        if self.date is not None and not _DATE.fullmatch(self.date):
            raise ConfigError(
                "is no date or range of dates",
                where="the study's date",
                remedy="Give YYYYMMDD, YYYYMMDD-YYYYMMDD or YYYYMMDD-.",
            )
        for text in filter(None, (self.patient, self.modality)):
            if len(text) > _LONGEST or "\\" in text or not text.isprintable():
                raise ConfigError(
                    "is no value that a PACS can look for",
                    where="the query",
                    remedy="Use at most 64 letters, without a backslash.",
                )

    def filters(self) -> dict[str, str]:
        """The attributes that the server matches, by keyword."""
        asked = {
            "PatientID": self.patient,
            "StudyDate": self.date,
            "ModalitiesInStudy": self.modality and self.modality.upper(),
        }
        return {keyword: value for keyword, value in asked.items() if value}

    def describes(self, study: Study) -> bool:
        """Whether one of the descriptions contains the wanted words, ignoring case."""
        wanted = (self.description or "").casefold()
        return any(wanted in text.casefold() for text in study.descriptions())


@dataclass(frozen=True)
class Series:
    """A series, as a server describes it."""

    uid: str
    modality: str = ""
    description: str = ""
    number: str = ""
    n_instances: int | None = None


@dataclass(frozen=True)
class Study:
    """A study, as a server describes it."""

    uid: str
    patient_id: str = ""
    patient_name: str = ""
    date: str = ""
    description: str = ""
    series: tuple[Series, ...] = field(default=())

    def descriptions(self) -> list[str]:
        """Descriptions of the study and of its series."""
        return [self.description, *(one.description for one in self.series)]


@dataclass(frozen=True)
class Instance:
    """An instance, as a server describes it.

    Attributes:
        uid: SOPInstanceUID.
        sop_class: SOPClassUID; blank if not given.
        series: SeriesInstanceUID.
        study: StudyInstanceUID.
    """

    study: str
    series: str
    uid: str
    sop_class: str = ""


def text_of(value: object) -> str:
    """A value from a server as a short text."""
    return "" if value is None else str(value).strip()[:_LONGEST]


def count_of(value: object) -> int | None:
    """A number of objects from a server; None if it is not a number."""
    text = text_of(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def study_not_found(where: str) -> PacsError:
    """The error for a study or a series that is not on the server."""
    return PacsError(
        "holds no such study or series", where=where, remedy="Look for it: plgg pacs find."
    )
