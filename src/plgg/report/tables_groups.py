"""Test Dice by kinds of patients, an arm beside the other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from plgg.evaluate import CaseScores
from plgg.evaluate.groups import TRAITS, grouped
from plgg.report.experiment_records import Experiment
from plgg.report.numbers import UNDEFINED, number
from plgg.report.palette import arm_title
from plgg.report.tables import Table

# With fewer patients a mean says nothing.
_FEWEST = 3


def groups_table(experiment: Experiment) -> Table | None:
    """Mean Dice over patients of each level of each trait; None where no trait divides them."""
    by_arm = {arm: [case for _, case in experiment.tested(arm)] for arm in experiment.arms}
    rows = []
    for trait in TRAITS:
        levels = {arm: grouped(cases, trait) for arm, cases in by_arm.items()}
        names = list(dict.fromkeys(name for found in levels.values() for name in found))
        told = [
            (trait, name, str(n), *(_mean(levels[arm].get(name, [])) for arm in experiment.arms))
            for name in names
            if (n := max(len(_patients(found.get(name, []))) for found in levels.values()))
            >= _FEWEST
        ]
        rows += told if len(told) > 1 else []
    if not rows:
        return None
    header = ("Group", "Level", "Patients", *(arm_title(arm) for arm in experiment.arms))
    return Table(header, tuple(rows), words=frozenset({0, 1}))


def _patients(cases: Sequence[CaseScores]) -> dict[str, list[float]]:
    """Dice by patient, of all scans and splits."""
    found: dict[str, list[float]] = defaultdict(list)
    for case in cases:
        if case.dice is not None:
            found[case.patient_id].append(case.dice)
    return found


def _mean(cases: Sequence[CaseScores]) -> str:
    means = [float(np.mean(values)) for values in _patients(cases).values()]
    return number(float(np.mean(means))) if means else UNDEFINED
