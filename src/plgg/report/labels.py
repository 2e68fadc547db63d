"""Labels of the mask on a page: volume, Dice and distances of each region within the tumour.

In the records a region is a task of the kind `segmentation` (`plgg.evaluate.labels`); on a page it
has a section of its own, with the whole tumour as the first row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from plgg.config import SEGMENTATION
from plgg.evaluate.evaluation import Evaluation
from plgg.evaluate.experiment_records import Experiment
from plgg.evaluate.records import CaseScores, Summary, TaskScores
from plgg.report.numbers import blank, estimate, number
from plgg.report.parts import Picture, arm_title
from plgg.report.table import Column, Table, table_of
from plgg.report.tasks import metric_over_splits, n_over_splits, scatter, tasks_of_splits

WHOLE = "whole tumour"
# Heading and decimals of each metric.
_METRICS = {
    "dice": ("Dice", 3),
    "surface_dice": ("Surface Dice, 2 mm", 3),
    "hd95_mm": ("HD95, mm", 1),
    "volume_error_ml": ("Volume error, mL", 1),
}
_HEADINGS = tuple(heading for heading, _ in _METRICS.values())


@dataclass(frozen=True)
class LabelsPanel:
    """Tables and pictures of the labels of the mask.

    Attributes:
        table: A row for each region, of each arm where there are several.
        pictures: Predicted against true volume of each region within the tumour.
        scans: Volumes and scores of each scan and region; None in an experiment.
    """

    table: Table
    pictures: tuple[Picture, ...]
    scans: Table | None = None


def label_names(summary: Summary) -> tuple[str, ...]:
    """The regions within the tumour that an evaluation scored."""
    return tuple(name for name, task in summary.tasks.items() if task.kind == SEGMENTATION)


def evaluation_labels(found: Evaluation) -> LabelsPanel | None:
    """The panel of one evaluation; None where the mask has no labels.

    Args:
        found: The evaluation.
    """
    names = label_names(found.summary)
    if not names:
        return None
    rows = (_whole_row(found), *(_label_row(found, name) for name in names))
    header = ("Label", "Scans", "With it", "True mL, mean", "Predicted mL, mean", *_HEADINGS)
    return LabelsPanel(
        Table(header, rows), _pictures(names, {"": list(found.rows)}, ("",)), _scans(found, names)
    )


def _whole_row(found: Evaluation) -> tuple[str, ...]:
    known = [row for row in found.rows if row.volume_ml is not None]
    volumes = [(row.volume_ml or 0.0, row.predicted_volume_ml or 0.0) for row in known]
    scored = found.summary.segmentation
    cells = (
        estimate(scored[name].of_mean if name in scored else None, digits)
        for name, (_, digits) in _METRICS.items()
    )
    return (WHOLE, *_volume_cells(volumes), *cells)


def _label_row(found: Evaluation, name: str) -> tuple[str, ...]:
    tasks = [row.tasks[name] for row in found.rows if name in row.tasks]
    volumes = [(true, task.value) for task in tasks if (true := _true_ml(task)) is not None]
    metrics = found.summary.tasks[name].metrics
    cells = (estimate(metrics.get(key), digits) for key, (_, digits) in _METRICS.items())
    return (name, *_volume_cells([(t, v or 0.0) for t, v in volumes]), *cells)


def _volume_cells(volumes: Sequence[tuple[float, float]]) -> tuple[str, ...]:
    """Number of scans, of those that truly have it, and the means of true and predicted."""
    means = [number(fmean(side), 1) for side in zip(*volumes, strict=True)] or [number(None)] * 2
    return (str(len(volumes)), str(sum(true > 0 for true, _ in volumes)), *means)


def _true_ml(task: TaskScores) -> float | None:
    return None if task.truth is None else float(task.truth)


_Row = tuple[CaseScores, str, TaskScores]


def _score(name: str) -> Column[_Row]:
    heading, digits = _METRICS[name]
    return Column(heading, lambda row: blank(number(row[2].scores.get(name), digits)))


_COLUMNS: tuple[Column[_Row], ...] = (
    Column("Scan", lambda row: row[0].case_id, is_words=True),
    Column("Label", lambda row: row[1], is_words=True),
    Column("True mL", lambda row: blank(number(_true_ml(row[2]), 2))),
    Column("Predicted mL", lambda row: blank(number(row[2].value, 2))),
    *map(_score, _METRICS),
)


def _scans(found: Evaluation, names: Sequence[str]) -> Table:
    rows = [
        (row, name, row.tasks[name]) for row in found.rows for name in names if name in row.tasks
    ]
    return table_of(rows, _COLUMNS)


def experiment_labels(experiment: Experiment) -> LabelsPanel | None:
    """The panel of an experiment's test parts; None where no arm outlines labels.

    Args:
        experiment: Its records.
    """
    by_split = {arm: experiment.split_tests(arm) for arm in experiment.arms}
    rows = [row for arm, found in by_split.items() for row in _arm_rows(arm, found)]
    if not rows:
        return None
    tests = {arm: list(experiment.tests(arm)) for arm in experiment.arms}
    names = dict.fromkeys(
        name for found in tests.values() for one in found for name in label_names(one.summary)
    )
    cases = {arm: [row for one in found for row in one.rows] for arm, found in tests.items()}
    header = ("Arm", "Label", "Scans", *_HEADINGS)
    return LabelsPanel(
        Table(header, tuple(rows), words=frozenset({0, 1})),
        _pictures(tuple(names), cases, experiment.arms),
    )


def _arm_rows(arm: str, splits: Sequence[Sequence[Evaluation]]) -> list[tuple[str, ...]]:
    found = tasks_of_splits(splits, lambda kind: kind == SEGMENTATION)
    return [
        (
            arm_title(arm),
            name,
            n_over_splits(tasks),
            *(metric_over_splits(tasks, key, digits) for key, (_, digits) in _METRICS.items()),
        )
        for name, tasks in found.items()
    ]


def _pictures(
    names: Sequence[str], cases: dict[str, list[CaseScores]], arms: Sequence[str]
) -> tuple[Picture, ...]:
    pictures = (scatter(name, cases, arms, quantity="volume, mL") for name in names)
    return tuple(picture for picture in pictures if picture)
