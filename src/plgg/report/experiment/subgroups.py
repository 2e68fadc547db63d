"""Test Dice by subgroup, arm beside arm, with intervals over patients.

Only scans that every arm tested are used, so that the arms of a group share the same patients.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from plgg.core.estimate import Estimate
from plgg.evaluate.experiment_records import Experiment
from plgg.evaluate.records import CaseScores
from plgg.evaluate.statistics import interval, mean
from plgg.evaluate.subgroups import TRAITS, grouped
from plgg.report.drawing import as_svg, forest
from plgg.report.experiment.arms import look
from plgg.report.numbers import estimate
from plgg.report.parts import INK, Picture, arm_title
from plgg.report.table import Table

# With fewer patients a mean says nothing.
MIN_PATIENTS = 3
_TITLES = {"size": "size of the tumour"}


@dataclass(frozen=True)
class Group:
    """Patients who share a trait.

    Attributes:
        trait: Such as `age`.
        level: Its value, such as `3 to 5 years`.
        n_patients: How many.
        dice: By arm: mean over patients of the mean over their scans and splits, and its 95 %
            interval over resampled patients.
    """

    trait: str
    level: str
    n_patients: int
    dice: Mapping[str, Estimate]


def subgroups(experiment: Experiment) -> tuple[Group, ...]:
    """The levels of every trait that divides the patients; those of fewer than three left out."""
    rows = _shared(experiment)
    found: list[Group] = []
    for trait in TRAITS:
        by_arm = {arm: grouped(cases, trait) for arm, cases in rows.items()}
        levels = next(iter(by_arm.values()), {})
        groups = [_group(trait, level, by_arm) for level in levels]
        enough = [group for group in groups if group.n_patients >= MIN_PATIENTS]
        found += enough if len(enough) > 1 else []
    return tuple(found)


def _shared(experiment: Experiment) -> dict[str, list[CaseScores]]:
    """The cases with a Dice in every tested arm, by arm; arms without a test are left out."""
    tested = {
        arm: {
            (run.split, run.seed, case.case_id): case
            for run, case in experiment.tested(arm)
            if case.dice is not None
        }
        for arm in experiment.arms
    }
    tested = {arm: cases for arm, cases in tested.items() if cases}
    shared = set.intersection(*(set(cases) for cases in tested.values())) if tested else set()
    return {arm: [cases[key] for key in sorted(shared)] for arm, cases in tested.items()}


def n_left_out(experiment: Experiment) -> int:
    """Tested scans, counted once a split and seed, that not every arm has."""
    every = {
        (run.split, run.seed, case.case_id)
        for arm in experiment.arms
        for run, case in experiment.tested(arm)
        if case.dice is not None
    }
    shared = next(iter(_shared(experiment).values()), [])
    return len(every) - len(shared)


def _group(
    trait: str, level: str, by_arm: Mapping[str, Mapping[str, Sequence[CaseScores]]]
) -> Group:
    dice = {arm: _mean(levels.get(level, ())) for arm, levels in by_arm.items()}
    patients = {case.patient_id for levels in by_arm.values() for case in levels.get(level, ())}
    return Group(trait, level, len(patients), dice)


def _mean(cases: Sequence[CaseScores]) -> Estimate:
    by_patient: dict[str, list[float]] = defaultdict(list)
    for case in cases:
        if case.dice is not None:
            by_patient[case.patient_id].append(case.dice)
    values = np.array([np.mean(found) for found in by_patient.values()], dtype=np.float64)
    # One seed for all groups and arms: the same records give the same page.
    return interval(mean(values), tuple(by_patient), np.random.default_rng(0))


def groups_table(groups: Sequence[Group]) -> Table | None:
    """A row for each group, a column for each arm; None without a group."""
    if not groups:
        return None
    arms = tuple(groups[0].dice)
    rows = tuple(
        (
            _TITLES.get(group.trait, group.trait),
            group.level,
            str(group.n_patients),
            *(estimate(group.dice[arm]) for arm in arms),
        )
        for group in groups
    )
    header = ("Group", "Level", "Patients", *(arm_title(arm) for arm in arms))
    return Table(header, rows, words=frozenset({0, 1}))


def subgroups_figure(groups: Sequence[Group], arms: Sequence[str]) -> Figure:
    """A forest plot: a dot and its interval for each arm in each group, the groups by trait.

    Args:
        groups: At least one.
        arms: All arms of the experiment, for their colours.
    """
    looks = {arm: look(arm, arms) for arm in groups[0].dice}
    rows = [
        (_TITLES.get(g.trait, g.trait), f"{g.level}  (n = {g.n_patients})", g.dice) for g in groups
    ]
    figure, axes = forest(
        rows, looks, title="Forest plot: test Dice by subgroup", x="mean test Dice", width=7.4
    )
    for arm, (colour, shape) in looks.items():
        axes.scatter([], [], s=30, marker=shape, color=colour, lw=0, label=arm_title(arm))
    place = {"loc": "outside lower center", "ncols": len(looks), "labelcolor": INK}
    figure.legend(frameon=False, fontsize=9, **place)
    return figure


def subgroups_picture(groups: Sequence[Group], experiment: Experiment) -> Picture | None:
    """Dice of all groups; None without a group."""
    if not groups:
        return None
    traits = ", ".join(dict.fromkeys(group.trait for group in groups))
    alt = f"Mean test Dice of each arm with its 95 % interval, by {traits}; numbers in the table."
    caption = (
        "Lines are 95 % intervals over resampled patients of these trained models; n counts "
        "patients. With so many groups some differ by chance."
    )
    return as_svg(subgroups_figure(groups, experiment.arms), alt, caption)
