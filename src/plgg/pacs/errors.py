"""`PacsError`: what goes wrong between plgg and a PACS; nothing that was asked for stands in it.

The libraries' own messages quote addresses with what was asked for, so none of theirs is passed on.
"""

from __future__ import annotations

from plgg.core.errors import PlggError


class PacsError(PlggError):
    """A PACS that refuses, or answers what cannot be used: asking again does not help."""


class UnreachableError(PacsError):
    """A PACS that does not answer, or asks to be left alone for a while: it may pass."""
