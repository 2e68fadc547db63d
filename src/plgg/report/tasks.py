"""Auxiliary tasks on a page: metrics with intervals, predicted against true numbers.

Labels of the mask, which the records hold as tasks, are shown by `plgg.report.labels`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from plgg.config import SEGMENTATION
from plgg.evaluate.evaluation import Evaluation
from plgg.evaluate.experiment_records import Experiment
from plgg.evaluate.records import CaseScores, TaskSummary
from plgg.report.drawing import SHAPES, as_svg, legend, panel
from plgg.report.measures import task_label
from plgg.report.numbers import UNDEFINED, ends, estimate, number, spread
from plgg.report.parts import FAINT, Picture, arm_colour, arm_title
from plgg.report.table import Table

_SIZE = (4.6, 4.0)


@dataclass(frozen=True)
class TasksPanel:
    """Table and pictures of the auxiliary tasks, other than labels of the mask.

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
    tasks = {n: task for n, task in found.summary.tasks.items() if task.kind != SEGMENTATION}
    if not tasks:
        return None
    rows = tuple(
        (name, task_label(metric, task), number(value.value), ends(value), n)
        for name, task in tasks.items()
        for n in (str(task.n),)
        for metric, value in task.metrics.items()
    )
    header = ("Task", "Measure", "Value", "95 % interval", "n")
    pictures = _pictures(tasks, {"": list(found.rows)}, ("",))
    return TasksPanel(Table(header, rows, words=frozenset({0, 1})), pictures)


def experiment_tasks(experiment: Experiment) -> TasksPanel | None:
    """The panel of an experiment's test parts; None where no arm has a further task.

    Args:
        experiment: Its records.
    """
    tests = {arm: list(experiment.tests(arm)) for arm in experiment.arms}
    by_arm = {
        arm: tasks_of_splits(experiment.split_tests(arm), lambda kind: kind != SEGMENTATION)
        for arm in experiment.arms
    }
    rows = [row for arm, tasks in by_arm.items() for row in _arm_rows(arm, tasks)]
    if not rows:
        return None
    header = ("Arm", "Task", "Measure", "Value", "n")
    cases = {arm: [row for one in found for row in one.rows] for arm, found in tests.items()}
    names = dict.fromkeys(name for tasks in by_arm.values() for name in tasks)
    return TasksPanel(
        Table(header, tuple(rows), words=frozenset({0, 1, 2})),
        _pictures(names, cases, experiment.arms),
    )


SplitTasks = Sequence[Sequence[TaskSummary]]
"""A task's summaries: of each split those of its seeds."""


def tasks_of_splits(
    splits: Sequence[Sequence[Evaluation]], wanted: Callable[[str], bool]
) -> dict[str, SplitTasks]:
    """The summaries of an arm's tasks by name.

    Args:
        splits: Of each split the evaluations of its seeds.
        wanted: Whether tasks of a kind are asked for.
    """
    found = [[one.summary.tasks for one in seeds] for seeds in splits]
    names = dict.fromkeys(
        name
        for seeds in found
        for tasks in seeds
        for name, task in tasks.items()
        if wanted(task.kind)
    )
    return {
        name: [[tasks[name] for tasks in seeds if name in tasks] for seeds in found]
        for name in names
    }


def _arm_rows(arm: str, found: Mapping[str, SplitTasks]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for name, splits in found.items():
        every = [task for seeds in splits for task in seeds]
        for metric in dict.fromkeys(metric for task in every for metric in task.metrics):
            label, value = task_label(metric, every[0]), metric_over_splits(splits, metric)
            rows.append((arm_title(arm), name, label, value, n_over_splits(splits)))
    return rows


def n_over_splits(splits: SplitTasks) -> str:
    """How many scans were scored; seeds test the same patients."""
    return str(sum(max((task.n for task in seeds), default=0) for seeds in splits))


def metric_over_splits(splits: SplitTasks, metric: str, digits: int = 3) -> str:
    """A metric: of one evaluation with its interval, of several as mean ± SD over splits.

    Seeds are averaged within their split.
    """
    found = [[t.metrics[metric] for t in seeds if metric in t.metrics] for seeds in splits]
    of_seeds = [[one.value for one in seeds if one.value is not None] for seeds in found]
    known = [fmean(values) for values in of_seeds if values]
    if not known:
        return UNDEFINED
    if sum(len(seeds) for seeds in found) > 1:
        return spread(fmean(known), stdev(known) if len(known) > 1 else None, digits)
    return estimate(next(one for seeds in found for one in seeds), digits)


def _pictures(
    names: Iterable[str], cases: dict[str, list[CaseScores]], arms: Sequence[str]
) -> tuple[Picture, ...]:
    pictures = (scatter(name, cases, arms) for name in names)
    return tuple(picture for picture in pictures if picture)


def scatter(
    name: str, cases: dict[str, list[CaseScores]], arms: Sequence[str], *, quantity: str = ""
) -> Picture | None:
    """Scatter plot of predicted against true values; None where they are not numbers.

    Args:
        name: Of the task.
        cases: Scores by arm; the arm's name is blank for a single evaluation.
        arms: All arms, which determine the colours.
        quantity: What is predicted, where the task's name does not say it.
    """
    pairs = {arm: _numbers(name, rows) for arm, rows in cases.items()}
    values = [value for found in pairs.values() for pair in found for value in pair]
    if not values:
        return None
    unit = f" {quantity}" if quantity else ""
    title = f"{name}: {quantity or 'predicted and true'}"
    figure, axes = panel(title, x=f"true{unit}", y=f"predicted{unit}", size=_SIZE)
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
    return as_svg(figure, f"Scatter plot of predicted against true {name}{unit}", caption)


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
