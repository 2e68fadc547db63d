"""`Archive`: requests to a PACS, by DICOMweb or DIMSE; `open_archive` opens one.

    with open_archive(PacsLink("https://pacs.example/dicom-web")) as archive:
        studies = archive.studies(StudyQuery(modality="MR"))

No request is sent before a method is called.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from plgg.core import extras
from plgg.pacs.address import PacsAddress, parse_address, require_aet, require_private
from plgg.pacs.credentials import credentials_for
from plgg.pacs.records import Instance, Series, Study, StudyQuery
from plgg.pacs.retry import PATIENT, Retries

_EXTRA = ("dicomweb_client", "pynetdicom")
# Loggers of libraries whose messages hold patient data: URLs of DICOMweb, data sets of DIMSE.
_SILENCED_LOGGERS = ("dicomweb_client", "pynetdicom", "requests", "retrying", "urllib3")
GIB = 2**30


class Archive(Protocol):
    """A PACS. Methods raise `UnreachableError` if it does not answer, `PacsError` if it refuses."""

    address: PacsAddress

    def studies(self, query: StudyQuery) -> list[Study]:
        """Search studies; they come without their series."""

    def series(self, study: str) -> list[Series]:
        """The series of a study; none where there is no such study."""

    def study_of(self, series: str) -> str | None:
        """The study that a series belongs to; None where that is not known."""

    def instances(self, study: str, series: str) -> list[Instance]:
        """The instances of a series."""

    def fetch(self, instance: Instance, path: Path, most_bytes: int) -> None:
        """Download the file of an instance, unchanged, to a path that does not exist yet."""

    def holds(self, instance: Instance) -> bool:
        """Whether the PACS has an instance."""

    def store(self, path: Path, instance: Instance) -> None:
        """Send a file; one that is there already is not an error."""

    def close(self) -> None:
        """End the connection."""


@dataclass(frozen=True)
class PacsLink:
    """Settings of the connection to a PACS; it can be pickled, and holds no password.

    Attributes:
        url: Its address, as it was typed.
        aet: AE title of plgg.
        tls: Whether DIMSE uses TLS.
        insecure: Whether other machines may be reached without TLS.
        seconds: Timeout until a response begins.
        study_gib: GiB that one study, and any object of it, may hold.
        retries: Retries where it does not answer.
    """

    url: str
    aet: str = "PLGG"
    tls: bool = False
    insecure: bool = False
    seconds: float = 30.0
    study_gib: float = 4.0
    retries: Retries = field(default=PATIENT)

    @property
    def study_bytes(self) -> int:
        """The most bytes of one study."""
        return round(self.study_gib * GIB)

    def require_safe(self) -> PacsAddress:
        """Parse the address and check that it may be used.

        Raises:
            ConfigError: If it is not valid, or images would be sent unencrypted.
        """
        address = parse_address(self.url, tls=self.tls)
        require_aet(self.aet, where="--aet")
        require_private(address, insecure=self.insecure)
        return address


def require_extra() -> None:
    """Check that the packages of the extra `pacs` are installed.

    Raises:
        ConfigError: If one is missing.
    """
    extras.require_extra("pacs", _EXTRA)


@contextmanager
def open_archive(link: PacsLink) -> Iterator[Archive]:
    """Open a PACS for a `with` block; no request is sent yet.

    Raises:
        ConfigError: If the address, the credentials or the packages are not right.
    """
    address = link.require_safe()
    require_extra()
    silence_loggers()
    archive = _opened(address, link)
    try:
        yield archive
    finally:
        archive.close()


def silence_loggers() -> None:
    """Turn off the loggers of the DICOM and HTTP libraries, whatever level is set."""
    for name in _SILENCED_LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def _opened(address: PacsAddress, link: PacsLink) -> Archive:
    if address.kind == "web":
        from plgg.pacs.web import WebArchive

        return WebArchive(address, credentials_for(address), seconds=link.seconds)
    from plgg.pacs.dimse import DimseArchive

    return DimseArchive(address, aet=link.aet, seconds=link.seconds)
