r"""Text from data as Markdown that shows it: no markup, no HTML, no link comes of it.

>>> escaped("a|b <img> *c*")
'a\\|b &lt;img> \\*c\\*'
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

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
    shown = visible(" ".join(text.split()))
    for pattern, instead in _RULES:
        shown = pattern.sub(instead, shown)
    return shown


def row(cells: Sequence[str]) -> str:
    """A row of a table."""
    return f"| {' | '.join(map(escaped, cells))} |"


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """A list of labels and values; blanks are left out."""
    return "\n".join(f"- **{label}:** {escaped(value)}" for label, value in pairs if value)


def bullets(sentences: Iterable[str]) -> str:
    """A list of sentences; blanks are left out."""
    return "\n".join(f"- {escaped(sentence)}" for sentence in sentences if sentence)
