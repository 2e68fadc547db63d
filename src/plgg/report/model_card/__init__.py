"""The model card of a run, made from the run's own files. Judges nothing, invents nothing."""

from typing import TYPE_CHECKING

from plgg.lazy import lazily

if TYPE_CHECKING:
    from plgg.report.model_card.read import read_model_card
    from plgg.report.model_card.write import write_model_card

__all__ = ["read_model_card", "write_model_card"]
__getattr__ = lazily(__name__, {"read_model_card": "read", "write_model_card": "write"})
