"""The errors that plgg raises for faults that a user can correct.

Each says what is wrong, where (a case, a file) and what to do. The command line prints these, and
only these, as one line with exit status 2; any other exception is a bug and keeps its traceback.
This module imports no other part of plgg.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

# Control characters, line and paragraph separators, controls of writing direction, invisible
# characters, and surrogates, as in file names of another encoding.
_HIDDEN = re.compile(
    r"[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]"
    r"|[\ud800-\udfff]"
)


def visible(text: str) -> str:
    r"""Escape hidden characters, so that a text is one line: a tab is `\t`, an escape `\x1b`.

    File names and table cells are untrusted, and a terminal would execute control sequences.
    """
    return _HIDDEN.sub(lambda found: ascii(found[0])[1:-1], text)


def shortened(text: str) -> str:
    """Leave out the middle of a text of more than 1000 characters."""
    return text if len(text) <= 1000 else f"{text[:600]} … {text[-300:]}"


class PlggError(Exception):
    """Base class of all errors that a user can correct.

    Args:
        what: What is wrong, in one clause.
        where: The file or the case it is wrong in.
        remedy: What to do about it.
    """

    def __init__(
        self, what: str, *, where: str | Path | None = None, remedy: str | None = None
    ) -> None:
        self.what = shortened(what)
        self.where = None if where is None else str(where)
        self.remedy = remedy and shortened(remedy)
        place = f"{self.where}: " if self.where else ""
        advice = f" {self.remedy}" if self.remedy else ""
        super().__init__(visible(f"{place}{self.what}.{advice}"))

    def __reduce__(self) -> tuple[Callable[..., PlggError], tuple[object, ...]]:
        """Pickle all three parts, for errors that come from a worker process."""
        return _rebuilt, (type(self), self.what, self.where, self.remedy)


def _rebuilt(kind: type[PlggError], what: str, where: str | None, remedy: str | None) -> PlggError:
    return kind(what, where=where, remedy=remedy)


class InputError(PlggError):
    """A scan or a mask that cannot be used."""


class ManifestError(PlggError):
    """A manifest that cannot be read as a cohort."""


class ConfigError(PlggError):
    """A setting that is unknown or out of range."""


class StoreError(PlggError):
    """A store that is missing, incomplete or of another version."""


class RunError(PlggError):
    """A run folder that is missing, incomplete or does not fit what is asked of it."""


class CheckpointError(PlggError):
    """A checkpoint that is missing, altered or of an unknown version."""


class OutputError(PlggError):
    """A place that cannot be written to."""


class WorkerError(PlggError):
    """A worker process that cannot be started."""
