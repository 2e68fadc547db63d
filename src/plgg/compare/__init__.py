"""Comparing evaluated results: paired differences with intervals and tests, by patient and split.

Reads evaluation folders and tables; knows nothing of images, networks or training.
"""

from plgg.compare.experiment import compare_experiment, repeated_tests
from plgg.compare.folders import compare_results
from plgg.compare.power import Aim
from plgg.compare.records import (
    ArmScores,
    Comparison,
    Contrast,
    Difference,
    ExperimentComparison,
    Interval,
    PairedStatistics,
    Power,
    Scores,
    Significance,
    Unpaired,
)
from plgg.compare.table import compare_table
from plgg.compare.table1 import write_table1
from plgg.compare.text import as_markdown, as_rows, write_comparison

__all__ = [
    "Aim",
    "ArmScores",
    "Comparison",
    "Contrast",
    "Difference",
    "ExperimentComparison",
    "Interval",
    "PairedStatistics",
    "Power",
    "Scores",
    "Significance",
    "Unpaired",
    "as_markdown",
    "as_rows",
    "compare_experiment",
    "compare_results",
    "compare_table",
    "repeated_tests",
    "write_comparison",
    "write_table1",
]
