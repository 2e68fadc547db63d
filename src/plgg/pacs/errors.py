"""`PacsError`: errors in the exchange with a PACS, without patient data.

Messages of the libraries quote URLs and queries, so they are not passed on.
"""

from __future__ import annotations

from plgg.core.errors import PlggError


class PacsError(PlggError):
    """A PACS that refuses, or sends an unusable response: retries do not help."""


class UnreachableError(PacsError):
    """A PACS that does not answer, or is busy: retries may help."""
