"""The model card of a run, made from the run's own files. Judges nothing, invents nothing."""

from plgg.report.model_card.write import read_model_card, write_model_card

__all__ = ["read_model_card", "write_model_card"]
