r"""Text from data as Markdown that shows it: no markup, no HTML, no link comes of it.

>>> escaped("a|b <img> *c*")
'a\\|b &lt;img> \\*c\\*'
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from plgg.core.errors import visible

# What opens a tag, an entity, emphasis, code, a link, a cell; and what GitHub takes for an address.
_RULES = (
    (re.compile(r"([\\`|\[\]*])"), r"\\\1"),
    (re.compile(r"&(?=#|\w+;)"), "&amp;"),
    (re.compile(r"<(?=[A-Za-z/!?])"), "&lt;"),
    (re.compile(r"(?<![^\W_])_|_(?![^\W_])"), r"\\_"),
    (re.compile(r"~~"), r"\\~\\~"),
    (re.compile(r"://"), r":\\//"),
    (re.compile(r"(?i)\b(www)\."), r"\1\\."),
    # A heading, a quotation or an item of a list at the beginning.
    (re.compile(r"\A(#|>|[-+](?=\s|\Z))"), r"\\\1"),
    (re.compile(r"\A(\d+)([.)])(?=\s|\Z)"), r"\1\\\2"),
)


def escaped(text: str) -> str:
    """Text in one line that Markdown shows as it is, also in the cell of a table."""
    told = visible(" ".join(text.split()))
    for found, instead in _RULES:
        told = found.sub(instead, told)
    return told


def table(rows: Sequence[Sequence[str]], *, words: bool = False) -> str:
    """Rows as a table, the first of them its header.

    Args:
        rows: Cells as text.
        words: Whether all columns are words; else all but the first are numbers, to the right.
    """
    header, *body = rows
    rule = ["---", *["---" if words else "---:"] * (len(header) - 1)]
    lines = [_line(header), f"| {' | '.join(rule)} |", *map(_line, body)]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(escaped, cells))} |"
