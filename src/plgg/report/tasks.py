"""Auxiliary tasks on a page: metrics with intervals, predicted against true numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from plgg.core.estimate import Estimate
from plgg.evaluate.evaluation import Evaluation
from plgg.evaluate.experiment_records import Experiment
from plgg.evaluate.records import CaseScores
from plgg.report.drawing import SHAPES, as_svg, legend, panel
from plgg.report.measures import task_label
from plgg.report.numbers import UNDEFINED, ends, estimate, number, spread
from plgg.report.parts import FAINT, Picture, arm_colour, arm_title
from plgg.report.table import Table

_SIZE = (4.6, 4.0)


@dataclass(frozen=True)
class TasksPanel:
    """What is shown of the tasks beside outline and marker.

    Attributes:
        table: A row for each metric, of each arm where there are several.
        pictures: Predicted against true, for each task whose answers are numbers.
    """

    table: Table
    pictures: tuple[Picture, ...]


def evaluation_tasks(found: Evaluation) -> TasksPanel | None:
    """The panel of one evaluation; None where it has no further task.

    Args:
        found: The evaluation.
    """
    if not found.summary.tasks:
        return None
    rows = tuple(
        (name, task_label(metric, task), number(value.value), ends(value), n)
        for name, task in found.summary.tasks.items()
        for n in (str(task.n),)
        for metric, value in task.metrics.items()
    )
    header = ("Task", "Measure", "Value", "95 % interval", "n")
    return TasksPanel(
        Table(header, rows, words=frozenset({0, 1})), _pictures({"": list(found.rows)}, ("",))
    )


def experiment_tasks(experiment: Experiment) -> TasksPanel | None:
    """The panel of an experiment's test parts; None where no arm has a further task.

    Args:
        experiment: Its records.
    """
    tests = {arm: list(experiment.tests(arm)) for arm in experiment.arms}
    by_split = {arm: experiment.split_tests(arm) for arm in experiment.arms}
    rows = [row for arm, found in by_split.items() for row in _arm_rows(arm, found)]
    if not rows:
        return None
    header = ("Arm", "Task", "Measure", "Value", "n")
    cases = {arm: [row for one in found for row in one.rows] for arm, found in tests.items()}
    return TasksPanel(
        Table(header, tuple(rows), words=frozenset({0, 1, 2})), _pictures(cases, experiment.arms)
    )


def _arm_rows(arm: str, splits: Sequence[Sequence[Evaluation]]) -> list[tuple[str, ...]]:
    found = [[one.summary.tasks for one in seeds] for seeds in splits]
    names = dict.fromkeys(name for seeds in found for tasks in seeds for name in tasks)
    rows: list[tuple[str, ...]] = []
    for name in names:
        mine = [[tasks[name] for tasks in seeds if name in tasks] for seeds in found]
        every = [task for seeds in mine for task in seeds]
        for metric in dict.fromkeys(metric for task in every for metric in task.metrics):
            values = [[t.metrics[metric] for t in seeds if metric in t.metrics] for seeds in mine]
            # Seeds test the same patients.
            n = str(sum(max((task.n for task in seeds), default=0) for seeds in mine))
            rows.append(
                (arm_title(arm), name, task_label(metric, every[0]), _over_splits(values), n)
            )
    return rows


def _over_splits(splits: Sequence[Sequence[Estimate]]) -> str:
    """Of one split the interval over patients; of several the standard deviation over them.

    Seeds are averaged within their split.
    """
    of_seeds = [[one.value for one in seeds if one.value is not None] for seeds in splits]
    known = [fmean(values) for values in of_seeds if values]
    if not known:
        return UNDEFINED
    if sum(len(seeds) for seeds in splits) > 1:
        return spread(fmean(known), stdev(known) if len(known) > 1 else None)
    return estimate(next(one for seeds in splits for one in seeds))


def _pictures(cases: dict[str, list[CaseScores]], arms: Sequence[str]) -> tuple[Picture, ...]:
    names = dict.fromkeys(name for rows in cases.values() for row in rows for name in row.tasks)
    pictures = (_scatter(name, cases, arms) for name in names)
    return tuple(picture for picture in pictures if picture)


def _scatter(name: str, cases: dict[str, list[CaseScores]], arms: Sequence[str]) -> Picture | None:
    """Predicted against true; None where the answers or the truths are no numbers."""
    pairs = {arm: _numbers(name, rows) for arm, rows in cases.items()}
    values = [value for found in pairs.values() for pair in found for value in pair]
    if not values:
        return None
    figure, axes = panel(f"{name}: predicted and true", x="true", y="predicted", size=_SIZE)
    low, high = min(values), max(values)
    axes.plot([low, high], [low, high], color=FAINT, linewidth=1, linestyle=":")
    for index, (arm, found) in enumerate(pairs.items()):
        if found:
            axes.scatter(
                [true for true, _ in found],
                [predicted for _, predicted in found],
                s=26,
                marker=SHAPES[index % len(SHAPES)],
                color=arm_colour(arm or "multitask", arms),
                alpha=0.75,
                linewidth=0,
                label=arm_title(arm) if arm else None,
            )
    legend(axes, loc="best")
    caption = "On the dotted line the prediction is right."
    return as_svg(figure, f"Scatter plot of predicted against true {name}", caption)


def _numbers(name: str, rows: Sequence[CaseScores]) -> list[tuple[float, float]]:
    found = []
    for row in rows:
        task = row.tasks.get(name)
        if task and task.value is not None and task.truth is not None:
            try:
                found.append((float(task.truth.replace(",", ".")), task.value))
            except ValueError:
                continue
    return [pair for pair in found if all(map(math.isfinite, pair))]
