"""CSV tables that a spreadsheet shows and never runs: `write_csv`, and `plain` to read them back.

A spreadsheet takes a cell that begins with `=`, `+`, `-` or `@` for a formula, and a name of a
hospital or of a marker comes from elsewhere. Such a text gets an apostrophe in front, which is how
a spreadsheet itself marks text; a number stays a number. `plain` takes the apostrophe off again.

    >>> defused("=1+1"), defused("-0.5"), plain(defused("=1+1"))
    ("'=1+1", '-0.5', '=1+1')
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from plgg.io.files import write_text

Cell = str | float | bool | None

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
# Blanks and invisible characters that spreadsheets may skip; tabs and line ends are separators.
_BLANK = (
    r"(?:[^\S\t\r\n]|[\x00-\x08\x0e-\x1f\x7f-\x9f\xad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e"
    r"\u2060-\u206f\ufe00-\ufe0f\ufeff])*"
)
# The four signs, and the characters that Unicode calls compatible with them.
_SIGN = "[=+\\-@＝＋－＠﹦﹢﹣﹫⁺⁼₊₌]"
# A spreadsheet that splits at semicolons or tabs begins a cell there too.
_START = r"(?:\A|(?<=[;\t\r\n]))"
_FORMULA = rf"(?:'*{_BLANK}{_SIGN}|(?:(?<![\s\S])'*{_BLANK}[\t\r\n]))"
_LIVE = re.compile(rf"{_START}(?={_FORMULA})")
_DEFUSED = re.compile(rf"{_START}'(?='*{_BLANK}{_SIGN}|(?<=\A')'*{_BLANK}[\t\r\n])")
_QUOTED = re.compile(r'[,;"\t\r\n]|\A\s|\s\Z')


def defused(text: str) -> str:
    """A text that no spreadsheet takes for a formula; numbers stay as they are."""
    return text if _NUMBER.fullmatch(text) else _LIVE.sub("'", text)


def plain(text: str) -> str:
    """The text that `defused` was given."""
    return _DEFUSED.sub("", text)


def number(text: str) -> float | None:
    """The number that a cell says; None where it says none.

    Python alone would take more for numbers than hands write:

        >>> number("0.5"), number("1_0"), number("nan")
        (0.5, None, None)
    """
    return float(text) if _NUMBER.fullmatch(text) else None


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """Write a table whole or not at all; None gives an empty cell.

    Args:
        path: Where to write.
        header: Names of the columns.
        rows: Cells in the order of the columns.

    Raises:
        OutputError: If it cannot be written.
    """
    # A line of one empty cell must not be a blank line.
    lines = [",".join(map(_cell, row)) or '""' for row in (header, *rows)]
    write_text(path, "\n".join(lines) + "\n")


def _cell(value: Cell) -> str:
    if value is None:
        return ""
    text = defused(value) if isinstance(value, str) else str(value)
    return '"' + text.replace('"', '""') + '"' if _QUOTED.search(text) else text
