"""Test Dice by kinds of patients as a table, an arm beside the other."""

from __future__ import annotations

from collections.abc import Sequence

from plgg.evaluate import Interval
from plgg.report.numbers import UNDEFINED, number, reach
from plgg.report.palette import arm_title
from plgg.report.subgroups import TITLES, Group
from plgg.report.tables import Table


def groups_table(groups: Sequence[Group]) -> Table | None:
    """A row for each group, a column for each arm; None without a group."""
    if not groups:
        return None
    arms = tuple(groups[0].dice)
    rows = tuple(
        (
            TITLES.get(group.trait, group.trait),
            group.level,
            str(group.n_patients),
            *(_told(group.dice[arm]) for arm in arms),
        )
        for group in groups
    )
    header = ("Group", "Level", "Patients", *(arm_title(arm) for arm in arms))
    return Table(header, rows, words=frozenset({0, 1}))


def _told(dice: Interval) -> str:
    told = reach(dice.ci_low, dice.ci_high)
    return number(dice.value) if told == UNDEFINED else f"{number(dice.value)} ({told})"
