"""`write_experiment_report`: an experiment as a page that opens offline."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path

import plgg
from plgg.core.errors import PlggError
from plgg.core.files import write_text
from plgg.data.store import Store
from plgg.evaluate.compare.experiment import compare_experiment
from plgg.evaluate.compare.records import ExperimentComparison
from plgg.evaluate.compare.table1 import paragraph
from plgg.evaluate.experiment_records import Experiment, read_experiment
from plgg.report import template
from plgg.report.drawing import Picture, arm_title
from plgg.report.experiment import provenance, sentences, tables
from plgg.report.experiment.examples import Example, arms_to_show, examples
from plgg.report.experiment.figures_training import gradients_told
from plgg.report.experiment.panels import (
    forest_picture,
    gradient_pictures,
    grid_pictures,
    marker_pictures,
    pair_pictures,
    subgroups_picture,
    training_pictures,
)
from plgg.report.experiment.provenance import Facts
from plgg.report.experiment.runs import run_records, runs_told
from plgg.report.experiment.sentences import Gain, gain
from plgg.report.experiment.subgroups import n_left_out, subgroups
from plgg.report.experiment.tables import Table, groups_table, runs_table
from plgg.report.experiment.tasks import TasksPanel, experiment_tasks
from plgg.report.experiment.tiles import Tile, tiles
from plgg.report.experiment.unseen import Unseen, unseen_section
from plgg.report.numbers import typographic


@dataclass(frozen=True)
class ArmSection:
    """What is shown for one arm: its examples, or its marker figures."""

    title: str
    examples: tuple[Example, ...] = ()
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True)
class Page:
    """All that the template shows."""

    title: str
    subtitle: str
    n_splits: int
    is_synthetic: bool
    tiles: list[Tile]
    summary: list[str]
    warnings: list[str]
    cohort: Facts
    forest: Picture | None
    gains: list[Gain]
    table1: Table | None
    paragraphs: list[str]
    statistics: Table | None
    pairs: list[Picture]
    measures: Table
    examples: list[ArmSection]
    markers: list[ArmSection]
    tasks: TasksPanel | None
    groups: Table | None
    groups_picture: Picture | None
    n_left_out: int
    grid: list[Picture]
    training: list[Picture]
    gradients: list[Picture]
    gradients_told: list[str]
    about: tuple[str, ...]
    unseen: Unseen | None
    patients: Table | None
    runs: Table
    runs_told: str
    all_done: bool
    commands: tuple[str, ...]
    run_facts: Facts
    versions: Facts
    version: str = field(default=plgg.__version__)


def render(page: Page) -> str:
    """The page as one HTML text; whatever comes from data is escaped."""
    return template.render("experiment.html", page)


def make_page(
    experiment: Experiment, comparison: ExperimentComparison | None, store: Store | None
) -> Page:
    """Draw everything that the records allow.

    Args:
        experiment: Its records.
        comparison: Its statistics; None where nothing is evaluated.
        store: The cohort; None where it is not at hand.
    """
    contrasts = comparison.on("test") if comparison else ()
    unseen = unseen_section(experiment)
    shown = arms_to_show(experiment)
    groups, runs = subgroups(experiment), run_records(experiment)
    return Page(
        title=" versus ".join(arm_title(arm).lower() for arm in experiment.arms).capitalize(),
        subtitle=experiment.folder.resolve().name,
        n_splits=experiment.n_splits,
        is_synthetic=sentences.is_synthetic(_patients(experiment, store)),
        tiles=[*(unseen.tiles if unseen else ()), *tiles(experiment, comparison)],
        summary=sentences.summary(experiment, comparison),
        warnings=sentences.warnings(experiment, _failed(store)),
        cohort=provenance.cohort_facts(store) if store else (),
        forest=forest_picture(experiment, comparison) if comparison else None,
        gains=[gain(contrast) for contrast in contrasts],
        table1=tables.table1(comparison) if comparison else None,
        paragraphs=_paragraphs(comparison),
        statistics=tables.all_statistics(comparison) if contrasts and comparison else None,
        pairs=pair_pictures(experiment, comparison),
        measures=tables.measures(
            [(arm_title(a), list(experiment.tests(a))) for a in experiment.arms]
        ),
        examples=[
            ArmSection(arm_title(arm), examples=found)
            for arm in shown
            if (found := examples(experiment, arm, store))
        ],
        markers=[
            ArmSection(arm_title(arm), pictures=tuple(marker_pictures(experiment, arm)))
            for arm in experiment.marker_arms
        ],
        tasks=experiment_tasks(experiment),
        groups=groups_table(groups),
        groups_picture=subgroups_picture(groups, experiment),
        n_left_out=n_left_out(experiment),
        grid=grid_pictures(experiment),
        training=training_pictures(experiment),
        gradients=gradient_pictures(experiment),
        gradients_told=gradients_told(experiment),
        about=experiment.about,
        unseen=unseen,
        patients=tables.patients(experiment),
        runs=runs_table(runs),
        runs_told=runs_told(runs),
        all_done=all(run.state == "done" for run in runs),
        commands=provenance.commands(experiment),
        run_facts=provenance.run_facts(experiment, runs),
        versions=provenance.version_facts(experiment),
    )


def _patients(experiment: Experiment, store: Store | None) -> list[str]:
    if store is not None:
        return [case.patient_id for case in store.cohort.cases]
    return [case.patient_id for arm in experiment.arms for _, case in experiment.tested(arm)]


def _failed(store: Store | None) -> list[tuple[str, str]]:
    return [(case.case_id, case.reason) for case in store.cohort.failed] if store else []


def _paragraphs(comparison: ExperimentComparison | None) -> list[str]:
    if comparison is None:
        return []
    told = [paragraph(contrast, comparison) for contrast in comparison.on("test")]
    return [typographic(text) for text in (*told, *comparison.notes)]


log = logging.getLogger(__name__)


def write_experiment_report(experiment: Path, *, store: Path | None = None) -> Path:
    """Write `report.html` into an experiment's folder: text, tables and pictures in one file.

    What is not there yet (a run, an evaluation, the store) is named on the page and left out.

    Args:
        experiment: Folder with `experiment.json` and `split-K/ARM`.
        store: The preprocessed cohort, for pictures; by default the one the experiment names.

    Returns:
        Path of the page.

    Raises:
        RunError: If the folder is no experiment.
        OutputError: If the page cannot be written.
    """
    records = read_experiment(experiment)
    page = make_page(records, _compared(records), _store(records, store))
    path = experiment / "report.html"
    write_text(path, render(page))
    return path


def _compared(records: Experiment) -> ExperimentComparison | None:
    """The statistics, made anew with the experiment's seed so that they fit what is drawn."""
    try:
        return compare_experiment(records.folder, seed=records.record.seed)
    except PlggError as error:
        log.warning("no statistics in the report: %s", error)
        return None


def _store(records: Experiment, store: Path | None) -> Store | None:
    named = store or records.record.store
    if not named:
        return None
    try:
        return Store(Path(named))
    except PlggError as error:
        log.warning("no scans in the report: %s", error)
        return None
