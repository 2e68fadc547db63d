"""`PacsSession`: HTTP session with limited responses and no redirects to other servers.

Used by `plgg.pacs.web` for itself and for dicomweb-client.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from plgg.pacs.address import PacsAddress
from plgg.pacs.credentials import Credentials, ca_file
from plgg.pacs.errors import PacsError, UnreachableError

MOST_LISTED_BYTES = 64 * 2**20
"""Largest list of studies or instances, as JSON."""

LONGEST_SECONDS = 900.0
"""Longest time of one response, from its beginning to its end."""

_PASSING = (408, 425, 429, 500, 502, 503, 504)
_OBJECTS = "multipart/related"


class PacsSession(requests.Session):
    """A session with one server.

    Args:
        address: Address of the server; redirects to others are refused.
        credentials: Credentials for it.
    """

    def __init__(self, address: PacsAddress, credentials: Credentials) -> None:
        super().__init__()
        self.address = address
        self.auth = _CredentialAuth(credentials)
        self.verify = ca_file() or True
        for scheme in ("http://", "https://"):
            self.mount(scheme, _LimitingAdapter())

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        """Correct requests of dicomweb-client: a Host without the port, and encoded wildcards.

        Wildcards are valid in a query as they are, and Orthanc understands no others.
        """
        prepared = super().prepare_request(request)
        prepared.headers.pop("Host", None)
        path, mark, query = (prepared.url or "").partition("?")
        prepared.url = path + mark + query.replace("%2A", "*").replace("%3F", "?")
        return prepared

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """The target of a redirect; refused if it is another server."""
        target = super().get_redirect_target(resp)
        if target and _origin(urljoin(resp.url, target)) != _origin(resp.url):
            raise PacsError(
                "sends us to another server",
                where=str(self.address),
                remedy="Give the address of the server itself.",
            )
        return target


class _CredentialAuth(AuthBase):
    """Credentials, set here so that requests does not look for others by itself."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._credentials.token:
            r.headers["Authorization"] = f"Bearer {self._credentials.token}"
        elif self._credentials.user:
            user, password = (text.encode() for text in self._credentials.user)
            return requests.auth.HTTPBasicAuth(user, password)(r)
        return r


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    usual = 443 if parts.scheme == "https" else 80
    return parts.scheme, parts.hostname, parts.port or usual


class _LimitingAdapter(HTTPAdapter):
    """HTTP adapter that limits the size of JSON responses, counted after decompression."""

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:  # noqa: ANN401 - urllib3's
        response = super().build_response(req, resp)
        accepted = req.headers.get("Accept") or ""
        if not str(accepted).startswith(_OBJECTS):
            response.raw = _LimitedBody(resp, MOST_LISTED_BYTES)
        return response


class _LimitedBody:
    """A body of urllib3 that raises an error if it is too large or takes too long."""

    def __init__(self, raw: Any, most: int) -> None:  # noqa: ANN401 - urllib3's
        self._raw, self._most = raw, most

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever it has
        return getattr(self._raw, name)

    def stream(self, amt: int = 2**16, decode_content: bool | None = None) -> Iterator[bytes]:
        """Yield its chunks."""
        try:
            yield from limit_chunks(
                self._raw.stream(amt, decode_content=decode_content), self._most
            )
        except BaseException:
            self._raw.close()
            raise


def limit_chunks(pieces: Iterator[bytes], most: int) -> Iterator[bytes]:
    """Yield the chunks of a response, up to `most` bytes and `LONGEST_SECONDS`.

    Raises:
        PacsError: If it is larger, or takes longer.
    """
    total, until = 0, time.monotonic() + LONGEST_SECONDS
    for piece in pieces:
        total += len(piece)
        if total > most or time.monotonic() > until:
            raise PacsError(
                f"its answer is larger than {most / 2**20:.0f} MiB"
                if total > most
                else "its answer does not come to an end",
                where="the PACS",
                remedy="Ask for less, or allow more: --study-gib.",
            )
        yield piece


def require_ok_status(status: int, address: PacsAddress) -> None:
    """Check the HTTP status of a response.

    Raises:
        UnreachableError: If the server is busy or out of order.
        PacsError: If it refuses.
    """
    if status < 400:
        return
    if status in (401, 403):
        raise PacsError(
            f"refuses us (status {status}): the credentials are missing or wrong",
            where=str(address),
            remedy="Set PLGG_PACS_USER and PLGG_PACS_PASSWORD, or PLGG_PACS_TOKEN, or ~/.netrc.",
        )
    if status in _PASSING:
        raise UnreachableError(
            f"is out of order or busy (status {status})",
            where=str(address),
            remedy="Try again later, or look at its log.",
        )
    raise PacsError(
        f"refuses what was asked (status {status})",
        where=str(address),
        remedy="Is this the address of its DICOMweb?",
    )


def as_pacs_error(error: Exception, address: PacsAddress) -> PacsError:
    """Convert an error of the libraries to a `PacsError` without their message."""
    if isinstance(error, requests.exceptions.SSLError):
        return PacsError(
            "its certificate is not to be trusted",
            where=str(address),
            remedy="Name the certificate of who signed it: PLGG_PACS_CA=FILE.",
        )
    if isinstance(error, requests.exceptions.HTTPError) and error.response is not None:
        try:
            require_ok_status(error.response.status_code, address)
        except PacsError as found:
            return found
    passing = (
        requests.exceptions.ConnectionError,
        requests.exceptions.Timeout,
        requests.exceptions.ChunkedEncodingError,
    )
    if isinstance(error, passing):
        return UnreachableError(
            "does not answer", where=str(address), remedy="Check the address, and that it runs."
        )
    return PacsError(
        "gives an answer that is no DICOMweb",
        where=str(address),
        remedy="Is this the address of its DICOMweb?",
    )
