"""The page: every section's content as plain records, and the template that shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import plgg
from plgg.compare import Contrast, ExperimentComparison
from plgg.compare.table1 import paragraph
from plgg.compare.text import verdict
from plgg.io.store import Store
from plgg.report import provenance, sentences, tables, template
from plgg.report.canvas import Picture
from plgg.report.examples import Example, arms_to_show, examples
from plgg.report.experiment_records import Experiment
from plgg.report.numbers import signed, typographic
from plgg.report.palette import arm_colour, arm_title
from plgg.report.panels import (
    forest_picture,
    gradient_pictures,
    grid_pictures,
    marker_pictures,
    pair_pictures,
    training_pictures,
)
from plgg.report.provenance import Facts
from plgg.report.tables import Table
from plgg.report.tables_groups import groups_table
from plgg.report.tables_runs import runs_table


@dataclass(frozen=True)
class Tile:
    """A number at the top of the page."""

    label: str
    value: str
    note: str = ""
    colour: str = "#c3ccd4"


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
    verdicts: list[str]
    table1: Table | None
    paragraphs: list[str]
    statistics: Table | None
    pairs: list[Picture]
    measures: Table
    examples: list[ArmSection]
    markers: list[ArmSection]
    groups: Table | None
    grid: list[Picture]
    training: list[Picture]
    gradients: list[Picture]
    unseen: Table | None
    n_unseen: int
    patients: Table | None
    runs: Table
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
    shown = arms_to_show(experiment)
    unseen = experiment.unseen
    return Page(
        title=" versus ".join(arm_title(arm).lower() for arm in experiment.arms).capitalize(),
        subtitle=experiment.folder.resolve().name,
        n_splits=experiment.n_splits,
        is_synthetic=sentences.is_synthetic(_patients(experiment, store)),
        tiles=_tiles(experiment, comparison),
        summary=sentences.summary(experiment, comparison),
        warnings=sentences.warnings(experiment, _failed(store)),
        cohort=provenance.cohort_facts(store) if store else (),
        forest=forest_picture(experiment, comparison) if comparison else None,
        verdicts=_verdicts(contrasts),
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
        groups=groups_table(experiment),
        grid=grid_pictures(experiment),
        training=training_pictures(experiment),
        gradients=gradient_pictures(experiment),
        unseen=tables.measures([("Unseen patients", [unseen])]) if unseen else None,
        n_unseen=len({case.patient_id for case in unseen.rows}) if unseen else 0,
        patients=tables.patients(experiment),
        runs=runs_table(experiment),
        commands=provenance.commands(experiment),
        run_facts=provenance.run_facts(experiment),
        versions=provenance.version_facts(experiment),
    )


def _verdicts(contrasts: Sequence[Contrast]) -> list[str]:
    """What each comparison says, and what it would take to say more."""
    told = []
    for contrast in contrasts:
        needed = contrast.power.sentence if contrast.power else ""
        told.append(typographic(f"{verdict(contrast)} {needed}".strip()))
    return told


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


def _tiles(experiment: Experiment, comparison: ExperimentComparison | None) -> list[Tile]:
    if comparison is None:
        return []
    tiles = []
    for arm in experiment.arms:
        told = sentences.dice_of(experiment, comparison, arm)
        tiles.append(_tile(f"{arm_title(arm)}: test Dice", told, arm_colour(arm, experiment.arms)))
    for contrast in comparison.on("test"):
        told = sentences.interval_of(contrast)
        note = f"95 % interval {told}" if told else ""
        label = f"Δ Dice, {arm_title(contrast.b).lower()} − {arm_title(contrast.a).lower()}"
        tiles.append(Tile(label, signed(contrast.difference), note))
    for arm in experiment.marker_arms:
        told = sentences.auc_of(experiment, comparison, arm)
        tiles.append(_tile(f"{arm_title(arm)}: marker AUC", told, arm_colour(arm, experiment.arms)))
    return tiles


def _tile(label: str, told: str, colour: str) -> Tile:
    """A number large, and its interval or spread small below."""
    value, _, note = told.partition(" ")
    spread = f"{note} (SD over splits)" if note.startswith("±") else note.strip("()")
    return Tile(label, value, spread, colour)
