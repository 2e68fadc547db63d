r"""Escape text from data for Markdown, so that it makes no markup, HTML or links.

>>> escaped("a|b <img> *c*")
'a\\|b &lt;img> \\*c\\*'
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from plgg.core.errors import visible

# Characters that begin a tag, an entity, emphasis, code, a link or a cell; and autolinks of GitHub.
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
    """Escape a text to one line that Markdown shows unchanged, also in the cell of a table."""
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
