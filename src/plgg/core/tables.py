"""Read CSV tables with any delimiter, write formula-safe cells, and recognise placeholders.

Delimiters are commas, semicolons or tabs; the encoding is UTF-8 with or without a byte-order mark;
line ends are any. Ambiguous tables are refused: with duplicate columns, rows of more cells than
columns, bytes that are no text, or an unclosed quotation mark.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from plgg.core.errors import PlggError
from plgg.core.files import write_text
from plgg.core.regular import open_regular

MOST_BYTES = 2**26
"""64 MiB: a row for each of 500,000 scans."""

_BLANKS = " \t\r\n\v\f\u00a0\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
_LINE_END = re.compile(r"\r\n|\r|\n")
# A first line that declares the delimiter to Excel.
_SAID_DELIMITER = re.compile(r'"?sep=([,;\t])"?(?:\r\n|\r|\n)', re.IGNORECASE)
_SAVE = "Save it as CSV in UTF-8."


@dataclass(frozen=True)
class Line:
    """A row.

    Attributes:
        number: Its (last) line in the file, from 1.
        cells: One for each column; blank where the row ends early.
        n_cells: Number of cells in the file, without blank ones after the last column.
    """

    number: int
    cells: tuple[str, ...]
    n_cells: int


@dataclass(frozen=True)
class Table:
    """A table as text; names and cells without blanks around them.

    Attributes:
        header: Names of the columns; a name may be blank.
        lines: The rows that are not blank.
    """

    header: tuple[str, ...]
    lines: tuple[Line, ...]

    def rows(self) -> list[dict[str, str]]:
        """Each row by the names of its columns."""
        return [dict(zip(self.header, line.cells, strict=True)) for line in self.lines]


def column_key(name: str) -> str:
    """Normalise a column's name for comparison: case and kinds of blanks.

    >>> column_key(" Scan  ID")
    'scan_id'
    """
    return re.sub(r"\s+", "_", unicodedata.normalize("NFKC", name).strip(_BLANKS)).casefold()


def read_csv(
    path: Path,
    *,
    error: type[PlggError],
    key: Callable[[str], str] = column_key,
    once: Collection[str] | None = None,
) -> Table:
    """Read a table.

    Args:
        path: The file.
        error: Class of the error.
        key: Two columns are duplicates if their names have the same key.
        once: Columns that must not be duplicates; None for all that have a name.

    Raises:
        PlggError: Of the class `error`, if there is no such file, or it cannot be read safely.
    """
    text = _text(path, error)
    (number, header), *lines = [*_lines(text, path, error)] or [(1, [])]
    while header and not header[-1]:
        header.pop()
    _refuse_twice(header, key, once, f"{path}, line {number}", error)
    return Table(tuple(header), tuple(_line(n, cells, header, path, error) for n, cells in lines))


def _text(path: Path, error: type[PlggError]) -> str:
    try:
        with open_regular(path) as handle:
            content = handle.read(MOST_BYTES + 1)
        text = content.decode("utf-8-sig")
    except FileNotFoundError as reason:
        raise error("no such file", where=path, remedy="Check the path.") from reason
    except UnicodeDecodeError as reason:
        raise error("cannot be read as text in UTF-8", where=path, remedy=_SAVE) from reason
    except (OSError, ValueError) as reason:
        what = "is a folder" if path.is_dir() else "cannot be read as a table"
        raise error(what, where=path, remedy="Name a CSV file that may be read.") from reason
    if len(content) > MOST_BYTES:
        raise error("is too large for a table", where=path, remedy="Name a CSV file.")
    if "\0" in text:
        number = len(_LINE_END.findall(text[: text.index("\0")])) + 1
        where = f"{path}, line {number}"
        raise error("holds NUL bytes, so it is no text in UTF-8", where=where, remedy=_SAVE)
    return text


def _lines(text: str, path: Path, error: type[PlggError]) -> Iterator[tuple[int, list[str]]]:
    """The lines that are not blank, each with its number."""
    handle, said = io.StringIO(text, newline=""), _SAID_DELIMITER.match(text)
    if said:
        handle.seek(said.end())
    last = 1 if said else 0
    reader = csv.reader(handle, delimiter=said[1] if said else _delimiter(text), strict=True)
    n_before = last
    try:
        for cells in reader:
            last = n_before + reader.line_num
            clean = [plain(cell.strip(_BLANKS)) for cell in cells]
            if any(clean):
                yield last, clean
    except csv.Error as reason:
        what, remedy = _reason(str(reason))
        raise error(what, where=f"{path}, line {last + 1}", remedy=remedy) from reason


def _delimiter(text: str) -> str:
    """The delimiter that occurs most often in the header."""
    start = re.sub(r'"[^"]*"', "", text[:100_000]).lstrip("\r\n")
    return max(",;\t", key=_LINE_END.split(start, maxsplit=1)[0].count)


def _reason(said: str) -> tuple[str, str]:
    """Message and remedy for an error of the csv module."""
    if "limit" in said:
        what = f"cannot be read as CSV: a cell has more than {csv.field_size_limit():,} characters"
        return what, "Look for a quotation mark that is never closed."
    if "end of data" in said:
        return "cannot be read as CSV: a quotation mark is never closed", "Close or remove it."
    return (
        "cannot be read as CSV: text follows a closing quotation mark in one cell",
        "Write a quotation mark within quoted text twice.",
    )


def _refuse_twice(
    header: list[str],
    key: Callable[[str], str],
    once: Collection[str] | None,
    where: str,
    error: type[PlggError],
) -> None:
    counts = Counter(key(name) for name in header if name)
    wanted = counts if once is None else {key(name) for name in once}
    for name, n in counts.items():
        if n > 1 and name in wanted:
            spelled = " and ".join(repr(one) for one in header if one and key(one) == name)
            raise error(
                f"has the column {spelled} {'twice' if n == 2 else f'{n} times'}",
                where=where,
                remedy="Keep one of them, or rename the others.",
            )


def _line(
    number: int, cells: list[str], header: list[str], path: Path, error: type[PlggError]
) -> Line:
    while len(cells) > len(header) and not cells[-1]:
        cells.pop()
    where = f"{path}, line {number}"
    if len(cells) > len(header):
        columns = "1 column" if len(header) == 1 else f"{len(header)} columns"
        raise error(
            f"has {len(cells)} cells, but the header has {columns}",
            where=where,
            remedy="Begin the file with the names of the columns."
            if len(header) == 1
            else "Put quotes around cells that hold the delimiter.",
        )
    if cells == header:
        raise error("repeats the header", where=where, remedy="Remove this line.")
    blank = [""] * (len(header) - len(cells))
    return Line(number, (*cells, *blank), len(cells))


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
    """Escape a text so that no spreadsheet takes it for a formula; numbers stay as they are."""
    return text if _NUMBER.fullmatch(text) else _LIVE.sub("'", text)


def plain(text: str) -> str:
    """Undo `defused`."""
    return _DEFUSED.sub("", text)


def number(text: str) -> float | None:
    """Parse a cell as a number; None if it is none.

    It accepts less than Python's `float`:

        >>> number("0.5"), number("1_0"), number("nan")
        (0.5, None, None)
    """
    return float(text) if _NUMBER.fullmatch(text) else None


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """Write a table atomically; None gives an empty cell.

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


_WORDS = frozenset((
    # English
    "na", "nan", "nat", "nd", "none", "null", "nil", "unknown", "unk", "unkn", "missing", "blank",
    "tbd", "tba", "tbc", "pending", "awaited", "awaiting", "awaitingresult", "resultpending",
    "inprogress", "nottested", "untested", "notavailable", "unavailable", "notapplicable",
    "notdone", "notperformed", "notdetermined", "undetermined", "notreported", "notknown",
    "notrecorded", "notspecified", "unspecified", "notprovided", "notassessed", "notevaluated",
    "notcollected", "noinformation", "nodata", "noresult", "nottestedyet", "discrepancy",
    "notallowedtocollect", "datanotavailable", "notyettested", "undefined",
    # As other languages write it
    "unbekannt", "keineangabe", "keineangaben", "ausstehend", "inconnu", "inconnue", "nonconnu",
    "desconocido", "desconhecido", "sconosciuto", "onbekend", "ukjent", "okänd", "ukendt",
    "неизвестно", "不明", "未知", "未検査",
))  # fmt: skip
# What a spreadsheet shows where a formula failed.
_FAILED = re.compile(
    r"#(N/?A|REF|VALUE|DIV/0|NAME|NUM|NULL|SPILL|CALC)[!?]?|#N/A N/A", re.IGNORECASE
)
_SIGNS = re.compile(r"[\s.\-‐-―−?¿_/…#~]+")
_SUSPICIOUS = re.compile(
    r"[?¿\[\]{}]|^#|^-\d+(\.0+)?$|^9{2,}(\.0+)?$"
    r"|\b(unknown|missing|pending|inconclusive|indeterminate|equivocal|insufficient|fail(ed|ure)?"
    r"|error|todo|awaiting|suspected|uncertain|unclear|qns)\b"
    r"|\bnot (yet )?(tested|available|known|done|determined|performed|reported|assessed|evaluable)",
    re.IGNORECASE,
)


def known(text: str | None) -> str | None:
    """Strip a text; None if it is blank or a placeholder for an unknown value.

    >>> known(" BRAF fusion "), known("[Not Available]"), known("n.d."), known("-")
    ('BRAF fusion', None, None, None)
    """
    clean = unicodedata.normalize("NFC", text or "").strip()
    return None if not clean or is_placeholder(clean) else clean


def is_placeholder(text: str) -> bool:
    """Whether a text that is not blank is a placeholder for an unknown value."""
    plain = unicodedata.normalize("NFKC", text).strip()
    if _FAILED.fullmatch(plain) or _SIGNS.fullmatch(plain):
        return True
    return re.sub(r"[\W_]+", "", plain).casefold() in _WORDS and not plain.startswith("+")


def is_suspicious(text: str) -> bool:
    """Whether a text looks like a placeholder, or like an uncertain value.

    >>> is_suspicious("BRAF fusion?"), is_suspicious("-9"), is_suspicious("BRAF V600E")
    (True, True, False)
    """
    return _SUSPICIOUS.search(text) is not None
