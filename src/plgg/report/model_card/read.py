"""`read_model_card`: a card that was written, as it is."""

from __future__ import annotations

from pathlib import Path

FILE = "model_card.md"


def read_model_card(run: Path) -> str | None:
    """A run's model card as Markdown; None where none was written."""
    path = run / FILE
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None
