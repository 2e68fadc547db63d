"""Pieces of Markdown. Knows nothing of what they say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Pairs = Iterable[tuple[str, str]]


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table, its first column of words, the others of numbers."""
    rule = ["---", *("---:" for _ in header[1:])]
    return "\n".join(_line(cells) for cells in (header, rule, *rows))


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(plain(cell) for cell in cells)} |"


def facts(pairs: Pairs) -> str:
    """A list of what is known; blanks are left out."""
    return "\n".join(f"- **{label}:** {plain(value)}" for label, value in pairs if value)


def bullets(sentences: Iterable[str]) -> str:
    """A list of sentences; blanks are left out."""
    return "\n".join(f"- {plain(sentence)}" for sentence in sentences if sentence)


def plain(text: str) -> str:
    """Text from data, which must not end a cell or a line, nor be taken for HTML."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
