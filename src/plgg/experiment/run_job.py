"""Execute one job: train and score its run, or record why it failed."""

from __future__ import annotations

import logging
import traceback
from pathlib import Path

from plgg.config import Config
from plgg.core.errors import PlggError
from plgg.core.files import make_folder
from plgg.core.progress import Watch
from plgg.core.regular import is_regular
from plgg.data.experiment_folder import forget_failure, note_failure
from plgg.data.run_folder import is_run, read_config
from plgg.data.split import Split
from plgg.data.store import Store
from plgg.evaluate.evaluation import read_evaluation
from plgg.experiment.plan import Job
from plgg.experiment.scoring import PARTS, score_run
from plgg.train.run import train
from plgg.train.tracking.follow import tracked

log = logging.getLogger(__name__)
# Written last, so that it marks a finished run.
_END = "model_card.md"


def is_finished(job: Job, store: Store) -> bool:
    """Whether a run is complete, with the settings of the job."""
    if not (is_run(job.run) and is_regular(job.run / _END)):
        return False
    try:
        known = read_config(job.run)
        for part in PARTS:
            read_evaluation(job.run / "evaluation" / part)
    except PlggError:
        # The error is reported when the run is executed; an evaluation is made again.
        return False
    wanted = job.config.model_copy(update={"preprocess": store.cohort.settings})
    return _compared(known) == _compared(wanted)


def _compared(config: Config) -> Config:
    """The settings that identify a run, without its execution and values that are filled in."""
    init = config.init.model_copy(update={"sha256": None, "run": config.init.run and "a run"})
    return config.model_copy(update={"execution": Config().execution, "init": init})


def do(job: Job, store: Store, split: Split, watch: Watch) -> None:
    """Train a run, then predict and evaluate its validation and test patients."""
    with (
        watch.training(job.name) as listener,
        tracked(job.run, job.tracking, listener, name=job.name, arm=job.arm) as told,
    ):
        train(store, job.run, job.config, split, listener=told)
    score_run(store, job.run, split, watch, label=job.name)


def attempt(job: Job, store: Store, split: Split, watch: Watch, *, retries: int) -> str | None:
    """Execute a run, and repeat it up to `retries` times if it fails.

    Returns:
        Why it failed in one line; None if it is done.
    """
    reason = None
    for _ in range(retries + 1):
        try:
            do(job, store, split, watch)
        except Exception as error:  # noqa: BLE001 - one run must not take the others with it
            reason = _failure_line(job.run, error)
        else:
            forget_failure(job.run)
            return None
    return reason


def _failure_line(run: Path, error: Exception) -> str:
    one_line = str(error) if isinstance(error, PlggError) else f"{type(error).__name__}: {error}"
    one_line = " ".join(one_line.split())
    log.debug("%s failed", run, exc_info=error)
    try:
        make_folder(run)
        note_failure(run, one_line, "".join(traceback.format_exception(error)))
    except PlggError as refused:
        # A full disk may be why it failed, and then there is no place for the reason either.
        log.warning("%s", refused)
    return one_line
