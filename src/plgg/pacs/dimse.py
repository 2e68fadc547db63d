"""`DimseArchive`: a PACS by DIMSE: C-FIND to search, C-GET to fetch, C-STORE to send.

C-GET, not C-MOVE: the images come over the association that requested them, so that the server need
not know our address.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pynetdicom import AE, build_role, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
)

from plgg.data.dicom.limits import silenced_readers
from plgg.pacs.address import PacsAddress
from plgg.pacs.credentials import client_context
from plgg.pacs.errors import PacsError, UnreachableError
from plgg.pacs.flow import MOST_OBJECT_BYTES, FlowLimit
from plgg.pacs.objects import FETCHED, PLAIN_SYNTAXES, TRANSFER_SYNTAXES
from plgg.pacs.records import Instance, Series, Study, StudyQuery, count_of, is_uid, text_of

_MOST_ANSWERS = 20_000
_PENDING = (0xFF00, 0xFF01)
_DUPLICATE = 0x0111
_WARNINGS = range(0xB000, 0xC000)
_REMEDY = "Check host, port and AE titles, and that it knows ours (--aet)."


class DimseArchive:
    """A PACS by DIMSE.

    Args:
        address: Its address, with its AE title.
        aet: AE title of plgg.
        seconds: Timeout until a response begins.
    """

    def __init__(self, address: PacsAddress, *, aet: str, seconds: float) -> None:
        self.address = address
        self._aet, self._seconds = aet, seconds
        self._getting: _CGetAssociation | None = None

    def close(self) -> None:
        """End the connection."""
        if self._getting is not None:
            self._getting.close()
            self._getting = None

    def studies(self, query: StudyQuery) -> list[Study]:
        """Search studies."""
        asked = _identifier("STUDY", "StudyInstanceUID", "PatientID", "PatientName", "StudyDate",
                            "StudyDescription", "ModalitiesInStudy", **query.filters())  # fmt: skip
        found = [
            Study(
                text_of(answer.get("StudyInstanceUID")),
                text_of(answer.get("PatientID")),
                text_of(answer.get("PatientName")),
                text_of(answer.get("StudyDate")),
                text_of(answer.get("StudyDescription")),
            )
            for answer in self._find(asked, query.limit)
        ]
        return list({study.uid: study for study in found if is_uid(study.uid)}.values())

    def series(self, study: str) -> list[Series]:
        """The series of a study."""
        asked = _identifier(
            "SERIES", "SeriesInstanceUID", "Modality", "SeriesDescription", "SeriesNumber",
            "NumberOfSeriesRelatedInstances", StudyInstanceUID=study,
        )  # fmt: skip
        found = [
            Series(
                text_of(answer.get("SeriesInstanceUID")),
                text_of(answer.get("Modality")),
                text_of(answer.get("SeriesDescription")),
                text_of(answer.get("SeriesNumber")),
                count_of(answer.get("NumberOfSeriesRelatedInstances")),
            )
            for answer in self._find(asked)
        ]
        return [series for series in found if is_uid(series.uid)]

    def study_of(self, series: str) -> str | None:
        """The study that a series belongs to; None where that is not known."""
        asked = _identifier("SERIES", "StudyInstanceUID", SeriesInstanceUID=series)
        found = {text_of(answer.get("StudyInstanceUID")) for answer in self._find(asked, 2)}
        return found.pop() if len(found) == 1 and all(map(is_uid, found)) else None

    def instances(self, study: str, series: str) -> list[Instance]:
        """The instances of a series."""
        found = self._images(study, series)
        if not all(is_uid(one.uid) for one in found):
            raise self._error("names an object by what is no UID")
        return list({one.uid: one for one in found}.values())

    def holds(self, instance: Instance) -> bool:
        """Whether the PACS has an instance."""
        found = self._images(instance.study, instance.series, SOPInstanceUID=instance.uid)
        return any(one.uid == instance.uid for one in found)

    def _images(self, study: str, series: str, **more: str) -> list[Instance]:
        asked = _identifier("IMAGE", "SOPInstanceUID", "SOPClassUID", StudyInstanceUID=study,
                            SeriesInstanceUID=series, **more)  # fmt: skip
        return [
            Instance(
                study,
                series,
                text_of(answer.get("SOPInstanceUID")),
                text_of(answer.get("SOPClassUID")),
            )
            for answer in self._find(asked)
        ]

    def _find(self, asked: Dataset, limit: int = _MOST_ANSWERS) -> list[Dataset]:
        entity = self._entity()
        entity.add_requested_context(StudyRootQueryRetrieveInformationModelFind)
        found: list[Dataset] = []
        with silenced_readers(), self._associated(entity) as association:
            answers = association.send_c_find(asked, StudyRootQueryRetrieveInformationModelFind)
            for status, answer in answers:
                code = self._status(status)
                if code in _PENDING and answer is not None:
                    found.append(answer)
                elif code not in _PENDING and code != 0:
                    raise self._error(f"refuses the query (status {code:#06x})")
                if len(found) >= limit:
                    break
        return found

    def fetch(self, instance: Instance, path: Path, most_bytes: int) -> None:
        """Download the file of an instance, unchanged."""
        if self._getting is None or not self._getting.alive:
            self.close()
            self._getting = _CGetAssociation(self)
        try:
            self._getting.fetch(instance, path, most_bytes)
        except PacsError:
            self.close()
            raise

    def store(self, path: Path, instance: Instance) -> None:
        """Send a file; one that is there already is not an error."""
        entity = self._entity()
        with silenced_readers():
            syntax = pydicom.dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID
        entity.add_requested_context(instance.sop_class, syntax)
        with silenced_readers(), self._associated(entity) as association:
            try:
                status = association.send_c_store(path)
            except ValueError:  # The context was not accepted.
                raise self._error("takes no objects of this kind") from None
            code = self._status(status)
        if code not in (0, _DUPLICATE) and code not in _WARNINGS:
            raise self._error(f"does not take the object (status {code:#06x})")

    def _entity(self) -> AE:
        entity = AE(ae_title=self._aet)
        entity.acse_timeout = entity.connection_timeout = self._seconds
        entity.dimse_timeout = entity.network_timeout = self._seconds
        return entity

    @contextmanager
    def _associated(self, entity: AE, **more: Any) -> Iterator[Association]:  # noqa: ANN401
        """An accepted association; released at the end, aborted if that fails."""
        tls = (client_context(), self.address.host) if self.address.secure else None
        association = entity.associate(
            self.address.host, self.address.port, ae_title=self.address.aet, tls_args=tls, **more
        )
        if not association.is_established:
            raise self._not_established(association)
        _without_delay(association)
        try:
            yield association
        finally:
            with suppress(Exception):
                association.release()
            if association.is_alive() and not association.is_released:
                association.abort()

    def _not_established(self, association: Association) -> PacsError:
        if association.is_rejected:
            return self._error("refuses the connection: it does not know one of the AE titles")
        where = str(self.address)
        return UnreachableError("does not answer", where=where, remedy=_REMEDY)

    def _status(self, status: Dataset) -> int:
        """The code of a status; without one the connection broke."""
        if "Status" not in status:
            raise UnreachableError(
                "broke off the connection", where=str(self.address), remedy="Try again later."
            )
        return int(status.Status)

    def _error(self, what: str) -> PacsError:
        return PacsError(what, where=str(self.address), remedy=_REMEDY)


class _CGetAssociation:
    """One association for C-GET, used for one instance after another."""

    def __init__(self, archive: DimseArchive) -> None:
        self._archive = archive
        self._flow = FlowLimit()
        self._received: bytes | None = None
        self._wanted: Instance | None = None
        entity = archive._entity()  # noqa: SLF001 - one class in two parts
        entity.add_requested_context(StudyRootQueryRetrieveInformationModelGet)
        roles = []
        for sop_class in FETCHED:
            entity.add_requested_context(sop_class, [*PLAIN_SYNTAXES])
            roles.append(build_role(sop_class, scp_role=True))
        for sop_class in FETCHED[:2]:
            for syntax in TRANSFER_SYNTAXES:
                entity.add_requested_context(sop_class, syntax)
        self._context = archive._associated(  # noqa: SLF001
            entity,
            ext_neg=roles,
            evt_handlers=[(evt.EVT_C_STORE, self._take), (evt.EVT_DATA_RECV, self._flow.count)],
        )
        self._association = self._context.__enter__()

    @property
    def alive(self) -> bool:
        """Whether the association is established."""
        return bool(self._association.is_established)

    def close(self) -> None:
        """End the association."""
        self._context.__exit__(None, None, None)

    def _take(self, event: evt.Event) -> int:
        """Handle C-STORE: accept the requested object, and no other."""
        if (
            self._wanted is None
            or str(getattr(event.request, "AffectedSOPInstanceUID", "")) != self._wanted.uid
        ):
            return 0xA900
        self._received = event.encoded_dataset()
        return 0

    def fetch(self, instance: Instance, path: Path, most_bytes: int) -> None:
        """Fetch an instance and write its file."""
        self._received, self._wanted = None, instance
        self._flow.allow(min(most_bytes, MOST_OBJECT_BYTES))
        asked = _identifier(
            "IMAGE",
            StudyInstanceUID=instance.study,
            SeriesInstanceUID=instance.series,
            SOPInstanceUID=instance.uid,
        )
        archive = self._archive
        with silenced_readers():
            answers = self._association.send_c_get(asked, StudyRootQueryRetrieveInformationModelGet)
            code = _last(archive._status(status) for status, _ in answers)  # noqa: SLF001
        if self._flow.exceeded:
            raise archive._error("sends more than is allowed (--study-gib)")  # noqa: SLF001
        if self._received is None:
            raise archive._error(f"does not give an object (status {code:#06x})")  # noqa: SLF001
        with path.open("xb") as out:
            out.write(self._received)
        self._received = None


def _without_delay(association: Association) -> None:
    """Set TCP_NODELAY; otherwise each small message is delayed by a tenth of a second."""
    connection = getattr(association.dul.socket, "socket", None)
    if connection is not None:
        with suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _last(codes: Iterator[int]) -> int:
    code = 0
    for code in codes:  # noqa: B007 - all are asked for, the last one counts
        pass
    return code


def _identifier(level: str, *wanted: str, **known: str) -> Dataset:
    """Make the identifier of a query: attributes to return, and attributes to match."""
    asked = Dataset()
    asked.QueryRetrieveLevel = level
    for keyword in wanted:
        setattr(asked, keyword, "")
    for keyword, value in known.items():
        setattr(asked, keyword, value)
    # Our values are UTF-8; responses say their own character set.
    asked.SpecificCharacterSet = "ISO_IR 192"
    return asked
