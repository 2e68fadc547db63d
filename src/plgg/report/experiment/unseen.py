"""Further patients of no split, whom every arm predicted."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from plgg.core.errors import PlggError
from plgg.data.experiment_folder import unseen_folder
from plgg.evaluate.compare.folders import compare_results
from plgg.evaluate.compare.records import Contrast
from plgg.evaluate.compare.text import verdict
from plgg.evaluate.experiment_records import Experiment, summary_value
from plgg.report.drawing import Picture, arm_colour, arm_title
from plgg.report.experiment import tables
from plgg.report.experiment.panels import paired_picture
from plgg.report.experiment.sentences import interval_of
from plgg.report.experiment.tables import Table
from plgg.report.experiment.tiles import Tile
from plgg.report.numbers import number, reach, signed, typographic

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Unseen:
    """What is shown of them.

    Attributes:
        n_patients: How many there are.
        told: The gains over the baseline, in sentences.
        tiles: Dice of each arm and the gains, for the top of the page.
        pictures: Each patient in both arms.
        measures: All measures, a column an arm.
    """

    n_patients: int
    told: list[str]
    tiles: list[Tile]
    pictures: list[Picture]
    measures: Table


def unseen_section(experiment: Experiment) -> Unseen | None:
    """The section; None where no patient but those of the splits was predicted."""
    if not experiment.unseen:
        return None
    patients = {case.patient_id for found in experiment.unseen.values() for case in found.rows}
    contrasts = _contrasts(experiment)
    return Unseen(
        n_patients=len(patients),
        told=[_told(contrast) for contrast in contrasts],
        tiles=_tiles(experiment, contrasts),
        pictures=[paired_picture(c, experiment) for c in contrasts if c.patient_differences],
        measures=tables.measures([(arm_title(a), [e]) for a, e in experiment.unseen.items()]),
    )


def _contrasts(experiment: Experiment) -> list[Contrast]:
    """Each other arm against the baseline, patient by patient."""
    baseline, *others = experiment.arms
    if baseline not in experiment.unseen:
        return []
    found: list[Contrast] = []
    for arm in (other for other in others if other in experiment.unseen):
        a, b = (unseen_folder(experiment.folder, name) for name in (baseline, arm))
        try:
            compared = compare_results(a, b, names=(baseline, arm), seed=experiment.record.seed)
        except PlggError as error:
            log.warning("no statistics of the unseen patients in the report: %s", error)
            continue
        found += compared.contrasts
    return found


def _told(contrast: Contrast) -> str:
    told = interval_of(contrast)
    interval = f" 95 % interval of the difference in Dice: {told}." if told else ""
    return typographic(verdict(contrast)) + interval


def _tiles(experiment: Experiment, contrasts: Sequence[Contrast]) -> list[Tile]:
    found = []
    for arm, evaluation in experiment.unseen.items():
        dice = summary_value(evaluation, "segmentation", "dice", "mean")
        low, high = (
            summary_value(evaluation, "segmentation", "dice", end) for end in ("ci_low", "ci_high")
        )
        label = f"{arm_title(arm)}: Dice, unseen patients"
        colour = arm_colour(arm, experiment.arms)
        found.append(Tile(label, number(dice), f"95 % interval {reach(low, high)}", colour))
    for contrast in contrasts:
        a, b = arm_title(contrast.a).lower(), arm_title(contrast.b).lower()
        told = interval_of(contrast)
        note = f"95 % interval {told}" if told else ""
        found.append(Tile(f"Δ Dice, {b} − {a}, unseen", signed(contrast.difference), note))
    return found
