"""The page: every section's content as plain records, and the template that shows them."""

from __future__ import annotations

from dataclasses import dataclass, field

import plgg
from plgg.compare import ExperimentComparison
from plgg.compare.table1 import paragraph
from plgg.io.store import Store
from plgg.report import provenance, sentences, tables, template
from plgg.report.canvas import Picture
from plgg.report.examples import Example, arms_to_show, examples
from plgg.report.experiment_records import Experiment
from plgg.report.figures_gradients import gradients_told
from plgg.report.gains import Gain, gain
from plgg.report.numbers import typographic
from plgg.report.palette import arm_title
from plgg.report.panels import marker_pictures, pair_pictures, training_pictures
from plgg.report.panels_details import (
    forest_picture,
    gradient_pictures,
    grid_pictures,
    subgroups_picture,
)
from plgg.report.provenance import Facts
from plgg.report.run_records import run_records, runs_told
from plgg.report.subgroups import n_left_out, subgroups
from plgg.report.tables import Table
from plgg.report.tables_groups import groups_table
from plgg.report.tables_runs import runs_table
from plgg.report.tiles import Tile, tiles
from plgg.report.unseen import Unseen, unseen_section


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
