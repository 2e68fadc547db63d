"""`WebArchive`: a PACS by DICOMweb: QIDO-RS to search, WADO-RS to fetch, STOW-RS to send."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pydicom
import requests
from dicomweb_client.web import DICOMwebClient
from pydicom.datadict import tag_for_keyword

from plgg.data.dicom.limits import silenced_readers
from plgg.pacs.address import PacsAddress
from plgg.pacs.credentials import Credentials
from plgg.pacs.errors import PacsError, UnreachableError
from plgg.pacs.http import PacsSession, as_pacs_error, limit_chunks, require_ok_status
from plgg.pacs.multipart import write_single_part
from plgg.pacs.records import (
    Instance,
    Series,
    Study,
    StudyQuery,
    count_of,
    is_uid,
    text_of,
)

_PAGE = 100
_MOST_INSTANCES = 20_000
_ACCEPT = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_PIECE_BYTES = 2**18
_ABSENT = (404, 410)
_MISFORMED = (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError)
_SERIES = ("SeriesDescription", "NumberOfSeriesRelatedInstances")
_STUDY = ("StudyDescription",)
Item = dict[str, Any]


class WebArchive:
    """A PACS by DICOMweb.

    Args:
        address: Its address.
        credentials: Credentials for it.
        seconds: Timeout until a response begins.
    """

    def __init__(self, address: PacsAddress, credentials: Credentials, *, seconds: float) -> None:
        self.address = address
        self._seconds = seconds
        self._session = PacsSession(address, credentials)
        self._client = DICOMwebClient(str(address), session=self._session, timeout=seconds)
        self._client.set_http_retry_params(retry=False)

    def close(self) -> None:
        """End the connection."""
        self._session.close()

    def studies(self, query: StudyQuery) -> list[Study]:
        """Search studies, page by page."""
        found: dict[str, Study] = {}
        for page in count():
            items = self._listed(
                lambda offset=page * _PAGE: self._client.search_for_studies(  # type: ignore[misc]
                    limit=_PAGE,
                    offset=offset,
                    fields=_STUDY,
                    search_filters=query.filters(),
                )
            )
            before = len(found)
            found |= {study.uid: study for study in map(_study, items) if is_uid(study.uid)}
            # A server without paging returns the same studies again.
            if len(items) < _PAGE or len(found) == before or len(found) >= query.limit:
                break
        return list(found.values())[: query.limit]

    def series(self, study: str) -> list[Series]:
        """The series of a study."""
        items = self._all(
            "SeriesInstanceUID",
            lambda **page: self._client.search_for_series(study, fields=_SERIES, **page),
        )
        return [series for series in map(_series, items) if is_uid(series.uid)]

    def study_of(self, series: str) -> str | None:
        """The study that a series belongs to; None where that is not known."""
        wanted = {"SeriesInstanceUID": series}
        items = self._listed(lambda: self._client.search_for_series(search_filters=wanted))
        found = {_text(item, "StudyInstanceUID") for item in items}
        return found.pop() if len(found) == 1 and all(map(is_uid, found)) else None

    def instances(self, study: str, series: str) -> list[Instance]:
        """The instances of a series."""
        items = self._all(
            "SOPInstanceUID",
            lambda **page: self._client.search_for_instances(study, series, **page),
        )
        found = [_instance(item, study, series) for item in items]
        if len(found) > _MOST_INSTANCES or not all(is_uid(one.uid) for one in found):
            raise as_pacs_error(ValueError(), self.address)
        return found

    def holds(self, instance: Instance) -> bool:
        """Whether the PACS has an instance."""
        wanted = {"SOPInstanceUID": instance.uid}
        items = self._listed(
            lambda: self._client.search_for_instances(
                instance.study, instance.series, search_filters=wanted
            )
        )
        return any(_text(item, "SOPInstanceUID") == instance.uid for item in items)

    def fetch(self, instance: Instance, path: Path, most_bytes: int) -> None:
        """Download the file of an instance, unchanged."""
        url = (
            f"{self.address}/studies/{instance.study}/series/{instance.series}"
            f"/instances/{instance.uid}"
        )
        with (
            self._answering(),
            self._session.get(
                url, headers={"Accept": _ACCEPT}, stream=True, timeout=self._seconds
            ) as answer,
        ):
            require_ok_status(answer.status_code, self.address)
            kind = answer.headers.get("Content-Type", "")
            pieces = limit_chunks(answer.iter_content(_PIECE_BYTES), most_bytes)
            write_single_part(path, kind, pieces)

    def store(self, path: Path, instance: Instance) -> None:
        """Send a file; one that is there already is not an error."""
        with silenced_readers(), self._answering():
            dataset = pydicom.dcmread(path)
            answer = self._client.store_instances([dataset], instance.study)
        if answer.get("FailedSOPSequence"):
            raise _rejection(self.address)

    def _all(self, keyword: str, ask: Callable[..., object]) -> list[Item]:
        """All results of a search, by UID; a server may return only a part at a time."""
        found = {_text(item, keyword): item for item in self._listed(ask)}
        while 0 < len(found) <= _MOST_INSTANCES:
            before = len(found)
            for item in self._following(lambda: ask(offset=before)):  # noqa: B023 - called at once
                found.setdefault(_text(item, keyword), item)
            # No further results, or the same again from a server without paging.
            if len(found) == before:
                break
        return list(found.values())

    def _following(self, ask: Callable[[], object]) -> list[Item]:
        """The next part of the results; empty if the server does not accept an offset."""
        try:
            return self._listed(ask)
        except UnreachableError:
            raise
        except PacsError:
            return []

    def _listed(self, ask: Callable[[], object]) -> list[Item]:
        """Results of a search; empty where there is no such study."""
        with self._answering():
            try:
                found = ask()
            except requests.exceptions.HTTPError as error:
                if error.response is not None and error.response.status_code in _ABSENT:
                    return []
                raise
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            raise as_pacs_error(ValueError(), self.address)
        return found

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Convert errors that the libraries raise to a `PacsError`."""
        try:
            yield
        except (requests.exceptions.RequestException, *_MISFORMED) as error:
            raise as_pacs_error(error, self.address) from None


def _rejection(address: PacsAddress) -> PacsError:
    return PacsError(
        "does not take the object",
        where=str(address),
        remedy="Does it take objects of this kind? Its log says more.",
    )


def _text(item: Item, keyword: str) -> str:
    """A value in DICOM JSON; of a person's name its alphabetic form."""
    element = item.get(f"{tag_for_keyword(keyword):08X}")
    values = element.get("Value") if isinstance(element, dict) else None
    value = values[0] if isinstance(values, list) and values else None
    if isinstance(value, dict):
        value = value.get("Alphabetic")
    return text_of(value)


def _study(item: Item) -> Study:
    return Study(
        _text(item, "StudyInstanceUID"),
        _text(item, "PatientID"),
        _text(item, "PatientName"),
        _text(item, "StudyDate"),
        _text(item, "StudyDescription"),
    )


def _series(item: Item) -> Series:
    return Series(
        _text(item, "SeriesInstanceUID"),
        _text(item, "Modality"),
        _text(item, "SeriesDescription"),
        _text(item, "SeriesNumber"),
        count_of(_text(item, "NumberOfSeriesRelatedInstances")),
    )


def _instance(item: Item, study: str, series: str) -> Instance:
    return Instance(study, series, _text(item, "SOPInstanceUID"), _text(item, "SOPClassUID"))
