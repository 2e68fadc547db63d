"""The errors that plgg raises for what a user can mend.

Each says what is wrong, where (a case, a file) and what to do. The command line turns these, and
only these, into one line and exit status 2; anything else is a bug and keeps its traceback.
This file knows nothing of the other rooms.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

# Control characters, line and paragraph ends, what turns the direction of writing or is invisible,
# and halves of characters that a name in another encoding leaves.
_HIDDEN = re.compile(
    r"[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]"
    r"|[\ud800-\udfff]"
)


def visible(text: str) -> str:
    r"""The text as one line in which nothing is hidden: a tab is `\t`, an escape `\x1b`.

    Names of files and cells of tables come from elsewhere; a terminal would obey what is in them.
    """
    return _HIDDEN.sub(lambda found: ascii(found[0])[1:-1], text)


def shortened(text: str) -> str:
    """The text, its middle left out where it is longer than anyone reads: 1000 letters."""
    return text if len(text) <= 1000 else f"{text[:600]} … {text[-300:]}"


class PlggError(Exception):
    """Base of all errors that a user can mend.

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
        """Cross from a worker process with all three parts."""
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
