"""The numbers at the top of an experiment's page: Dice, gains and marker AUC."""

from __future__ import annotations

from dataclasses import dataclass

from plgg.evaluate.compare.records import ExperimentComparison
from plgg.evaluate.experiment_records import Experiment
from plgg.report.drawing import arm_colour, arm_title
from plgg.report.experiment import sentences
from plgg.report.experiment.sentences import interval_of
from plgg.report.numbers import signed


@dataclass(frozen=True)
class Tile:
    """A number at the top of the page."""

    label: str
    value: str
    note: str = ""
    colour: str = "#c3ccd4"


def tiles(experiment: Experiment, comparison: ExperimentComparison | None) -> list[Tile]:
    """Dice of each arm, its gain over the baseline, and its marker AUC."""
    if comparison is None:
        return []
    found = []
    for arm in experiment.arms:
        told = sentences.dice_of(experiment, comparison, arm)
        found.append(_tile(f"{arm_title(arm)}: test Dice", told, arm_colour(arm, experiment.arms)))
    for contrast in comparison.on("test"):
        told = interval_of(contrast)
        note = f"95 % interval {told}" if told else ""
        label = f"Δ Dice, {arm_title(contrast.b).lower()} − {arm_title(contrast.a).lower()}"
        found.append(Tile(label, signed(contrast.difference), note))
    for arm in experiment.marker_arms:
        told = sentences.auc_of(experiment, comparison, arm)
        found.append(_tile(f"{arm_title(arm)}: marker AUC", told, arm_colour(arm, experiment.arms)))
    return found


def _tile(label: str, told: str, colour: str) -> Tile:
    """A number large, and its interval or spread small below."""
    value, _, note = told.partition(" ")
    spread = f"{note} (SD over splits)" if note.startswith("±") else note.strip("()")
    return Tile(label, value, spread, colour)
