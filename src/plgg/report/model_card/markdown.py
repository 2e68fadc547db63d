"""Lists in Markdown. Knows nothing of what they say."""

from __future__ import annotations

from collections.abc import Iterable

from plgg.io.markdown import escaped

Pairs = Iterable[tuple[str, str]]


def facts(pairs: Pairs) -> str:
    """A list of what is known; blanks are left out."""
    return "\n".join(f"- **{label}:** {escaped(value)}" for label, value in pairs if value)


def bullets(sentences: Iterable[str]) -> str:
    """A list of sentences; blanks are left out."""
    return "\n".join(f"- {escaped(sentence)}" for sentence in sentences if sentence)
