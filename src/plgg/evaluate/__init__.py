"""Scoring predictions against the truth, by patient; any tool's masks. No torch."""

from plgg.evaluate.cohort import evaluate_predictions
from plgg.evaluate.records import CaseScores, Evaluation, Interval, Markers, Summary
from plgg.evaluate.storage import read_evaluation

__all__ = [
    "CaseScores",
    "Evaluation",
    "Interval",
    "Markers",
    "Summary",
    "evaluate_predictions",
    "read_evaluation",
]
