"""`write_experiment_report`: from an experiment's folder to one page that opens offline."""

from __future__ import annotations

import logging
from pathlib import Path

from plgg.compare import ExperimentComparison, compare_experiment
from plgg.errors import PlggError
from plgg.io.files import write_text
from plgg.io.store import Store
from plgg.report.experiment_records import Experiment, read_experiment
from plgg.report.page import make_page, render

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
