"""Scoring predictions against the truth, by patient; any tool's masks. No torch."""

from typing import TYPE_CHECKING

from plgg.lazy import lazily

if TYPE_CHECKING:
    from plgg.evaluate.cohort import evaluate_predictions
    from plgg.evaluate.evaluation import Evaluation
    from plgg.evaluate.records import Interval, Markers, Spread, Subgroup, Summary
    from plgg.evaluate.row import CaseScores
    from plgg.evaluate.storage import read_evaluation

__all__ = [
    "CaseScores",
    "Evaluation",
    "Interval",
    "Markers",
    "Spread",
    "Subgroup",
    "Summary",
    "evaluate_predictions",
    "read_evaluation",
]
__getattr__ = lazily(
    __name__,
    {
        "CaseScores": "row",
        "Evaluation": "evaluation",
        "evaluate_predictions": "cohort",
        "read_evaluation": "storage",
        **dict.fromkeys(("Interval", "Markers", "Spread", "Subgroup", "Summary"), "records"),
    },
)
