"""`RequestError`: an error response with its HTTP status; statuses of all other errors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from plgg.core.errors import (
    CheckpointError,
    ConfigError,
    InputError,
    OutputError,
    PlggError,
    RunError,
    StoreError,
    WorkerError,
)
from plgg.pacs.errors import PacsError

_STATUSES: tuple[tuple[type[PlggError], int], ...] = (
    (PacsError, 502),
    (InputError, 422),
    (ConfigError, 422),
    (OutputError, 507),
    (WorkerError, 503),
    (RunError, 500),
    (CheckpointError, 500),
    (StoreError, 500),
)


class RequestError(PlggError):
    """A request that is refused.

    Args:
        status: HTTP status code.
        what: What is wrong, in one clause.
        where: The case, the header or the field it is wrong in.
        remedy: What to do about it.
        headers: Further headers of the answer.
        more: Further fields of the answer beside `error`, such as the present `etag`.
    """

    def __init__(
        self,
        status: int,
        what: str,
        *,
        where: str | Path | None = None,
        remedy: str | None = None,
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(what, where=where, remedy=remedy)
        self.status = status
        self.headers = dict(headers or {})
        self.more = dict(more or {})


def status_of(error: PlggError) -> int:
    """The HTTP status by which an error is answered."""
    if isinstance(error, RequestError):
        return error.status
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), 400)


def not_found(what: str, where: str | None = None) -> RequestError:
    """A 404."""
    return RequestError(404, what, where=where, remedy="Look at the work list.")
