"""`write_experiment_report`: an experiment as a page that opens offline."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plgg.core.errors import PlggError
from plgg.core.files import write_text
from plgg.data.experiment_folder import unseen_folder
from plgg.data.store import Store
from plgg.evaluate.compare.contrast import compare_results
from plgg.evaluate.compare.experiment import compare_experiment
from plgg.evaluate.compare.experiment_records import ExperimentComparison
from plgg.evaluate.compare.records import Contrast
from plgg.evaluate.experiment_records import Experiment, read_experiment
from plgg.report.comparison import (
    paragraph,
    spread_sentence,
    spreads_table,
    statistics_table,
    table1,
    verdict,
)
from plgg.report.experiment import facts, runs, sentences, tables
from plgg.report.experiment.arms import (
    forest_picture,
    pair_pictures,
    paired_picture,
)
from plgg.report.experiment.examples import example_arms, examples
from plgg.report.experiment.markers import marker_pictures
from plgg.report.experiment.subgroups import (
    groups_table,
    n_left_out,
    subgroups,
    subgroups_picture,
)
from plgg.report.experiment.training import (
    gradient_pictures,
    gradient_sentences,
    grid_pictures,
    training_pictures,
)
from plgg.report.labels import experiment_labels
from plgg.report.numbers import typographic
from plgg.report.parts import arm_colour, arm_title, estimate_tile
from plgg.report.tasks import experiment_tasks
from plgg.report.template import render

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
    page = _page(records, _compute_comparison(records), _store(records, store))
    path = experiment / "report.html"
    write_text(path, render("experiment.html", page))
    return path


def _compute_comparison(records: Experiment) -> ExperimentComparison | None:
    """Compute the statistics with the experiment's seed, so that they match the figures."""
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


def _page(
    experiment: Experiment, comparison: ExperimentComparison | None, store: Store | None
) -> dict[str, object]:
    """The variables of the template.

    Args:
        experiment: Its records.
        comparison: Its statistics; None where nothing is evaluated.
        store: The cohort; None where it is not at hand.
    """
    contrasts = comparison.on("test") if comparison else ()
    unseen = _unseen_patients(experiment)
    groups, records = subgroups(experiment), runs.run_records(experiment)
    arms = {arm: arm_title(arm) for arm in experiment.arms}
    return {
        "title": " versus ".join(title.lower() for title in arms.values()).capitalize(),
        "subtitle": experiment.folder.resolve().name,
        "n_splits": experiment.n_splits,
        "n_seeds": experiment.n_seeds,
        "marker_answer": comparison.marker.sentence if comparison and comparison.marker else "",
        "spreads": spreads_table(comparison) if comparison and comparison.spreads else None,
        "spread_sentence": spread_sentence(comparison) if comparison else "",
        "is_synthetic": sentences.is_synthetic(_patients(experiment, store)),
        "tiles": [*(unseen["tiles"] if unseen else ()), *sentences.tiles(experiment, comparison)],
        "summary": sentences.summary(experiment, comparison),
        "warnings": sentences.warnings(experiment, _failed(store)),
        "cohort": facts.cohort_facts(store) if store else (),
        "forest": forest_picture(experiment, comparison) if comparison else None,
        "gains": [sentences.gain(contrast) for contrast in contrasts],
        "table1": table1(comparison) if comparison else None,
        "paragraphs": _paragraphs(comparison),
        "statistics": statistics_table(comparison) if contrasts and comparison else None,
        "pairs": pair_pictures(experiment, comparison),
        "measures": tables.measures_of_arms(
            [(title, experiment.split_tests(arm)) for arm, title in arms.items()]
        ),
        "examples": [
            (arms[arm], found)
            for arm in example_arms(experiment)
            if (found := examples(experiment, arm, store))
        ],
        "markers": [
            (arms[arm], marker_pictures(experiment, arm)) for arm in experiment.marker_arms
        ],
        "labels": experiment_labels(experiment),
        "tasks": experiment_tasks(experiment),
        "groups": groups_table(groups),
        "groups_picture": subgroups_picture(groups, experiment),
        "n_left_out": n_left_out(experiment),
        "grid": grid_pictures(experiment),
        "training": training_pictures(experiment),
        "gradients": gradient_pictures(experiment),
        "gradient_sentences": gradient_sentences(experiment),
        "about": experiment.about,
        "unseen": unseen,
        "patients": tables.patients(experiment),
        "runs": runs.runs_table(records),
        "runs_sentence": runs.runs_sentence(records),
        "all_done": all(run.state == "done" for run in records),
        "commands": facts.commands(experiment),
        "run_facts": facts.run_facts(experiment, records),
        "versions": facts.version_facts(experiment),
    }


def _patients(experiment: Experiment, store: Store | None) -> list[str]:
    if store is not None:
        return [case.patient_id for case in store.cohort.cases]
    return [case.patient_id for arm in experiment.arms for _, case in experiment.tested(arm)]


def _failed(store: Store | None) -> list[tuple[str, str]]:
    return [(case.case_id, case.reason) for case in store.cohort.failed] if store else []


def _paragraphs(comparison: ExperimentComparison | None) -> list[str]:
    if comparison is None:
        return []
    tests = [paragraph(contrast, comparison) for contrast in comparison.on("test")]
    return [typographic(text) for text in (*tests, *comparison.notes)]


def _unseen_patients(experiment: Experiment) -> dict[str, Any] | None:
    """Results on patients outside all splits, such as those of a demo; None without any."""
    if not experiment.unseen:
        return None
    evaluations = experiment.unseen.items()
    contrasts = _contrasts_of_unseen(experiment)
    dice = [
        estimate_tile(
            f"{arm_title(arm)}: Dice, unseen patients",
            found.summary.segmentation["dice"].of_mean,
            colour=arm_colour(arm, experiment.arms),
        )
        for arm, found in evaluations
    ]
    return {
        "n_patients": len({case.patient_id for _, found in evaluations for case in found.rows}),
        "gains": [_gain(contrast) for contrast in contrasts],
        "tiles": [*dice, *(sentences.gain_tile(contrast, ", unseen") for contrast in contrasts)],
        "pictures": [paired_picture(c, experiment) for c in contrasts if c.patient_differences],
        "measures": tables.measures_of_arms(
            [(arm_title(a), [[found]]) for a, found in evaluations]
        ),
    }


def _contrasts_of_unseen(experiment: Experiment) -> Sequence[Contrast]:
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


def _gain(contrast: Contrast) -> str:
    within = sentences.interval_of(contrast)
    interval = f" 95 % interval of the difference in Dice: {within}." if within else ""
    return typographic(verdict(contrast)) + interval
