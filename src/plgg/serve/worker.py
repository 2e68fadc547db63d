"""Run one job in a worker process: predict a case, send it to the PACS, or fine-tune the model.

The server starts a new process for each job, so that the memory of torch is freed with it, and ends
it beyond the limits of time and memory.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from plgg.core.errors import PlggError
from plgg.core.files import temporary_name
from plgg.core.progress import EpochEnd, Listener, Progress, Step
from plgg.serve.records import Job
from plgg.serve.work import WorkFolder

log = logging.getLogger(__name__)
_EVERY_SECONDS = 0.3
_UNEXPECTED = "unexpected "


@dataclass(frozen=True)
class JobEnd:
    """How a job ended.

    Attributes:
        error: Why it failed; None where it is done.
        refused: Whether the scan itself is at fault.
        outcome: Its result in one line.
    """

    error: str | None = None
    refused: bool = False
    outcome: str | None = None


class JobWatch:
    """Reports the progress of a job to the server by a small file.

    Args:
        path: Of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last = 0.0

    @contextmanager
    def task(self, label: str) -> Iterator[Progress]:
        """Follow a job of countable items."""

        def tell(done: int, total: int, failed: int = 0) -> None:  # noqa: ARG001 - as Progress
            self._tell(label, done, total)

        self._tell(label, 0, 0, at_once=True)
        yield tell

    @contextmanager
    def training(self, label: str) -> Iterator[Listener]:
        """Follow a training run by its steps."""

        def listen(event: Step | EpochEnd) -> None:
            if isinstance(event, Step):
                done = (event.epoch - 1) * event.steps + event.step
                self._tell(label, done, event.epochs * event.steps)

        self._tell(label, 0, 0, at_once=True)
        yield listen

    def say(self, message: str) -> None:
        """Log a message."""
        log.info("%s", message)

    def _tell(self, label: str, done: int, total: int, *, at_once: bool = False) -> None:
        due = at_once or done == total or time.monotonic() - self._last > _EVERY_SECONDS
        if not due:
            return
        self._last = time.monotonic()
        aside = temporary_name(self._path)
        # Progress may be lost: it is not synced to disk, and errors never stop the job.
        with suppress(OSError):
            aside.write_text(json.dumps({"label": label, "done": done, "total": total}))
            aside.replace(self._path)


def progress_file(work: WorkFolder, job_id: str) -> Path:
    """Path of a job's progress file."""
    return work.jobs / f"{job_id}.progress"


def start(work: WorkFolder) -> WorkFolder:
    """Initialise a worker process; its state is the work folder."""
    return work


def do(work: WorkFolder, job: Job) -> JobEnd:
    """Run a job; an error of plgg becomes its result, not an exception."""
    watch = JobWatch(progress_file(work, job.id))
    try:
        if job.kind == "predict" and job.case is not None:
            if job.study is not None and work.upload(job.case) is None:
                reason = _fetch(work, job.case, job.study, watch)
                if reason is not None:
                    return JobEnd(reason, refused=True)
            return predict_case(work, job.case, watch)
        if job.kind == "push" and job.case is not None:
            return _push(work, job.case, job.edit or 0, watch)
        if job.kind == "round" and job.round is not None:
            return _round(work, job.round, watch)
    except PlggError as error:
        return JobEnd(work.short(str(error)))
    return JobEnd("is a job of no kind that is known")


def predict_case(work: WorkFolder, case_id: str, watch: JobWatch) -> JobEnd:
    """Predict an uploaded scan, and make the images that the page shows of it."""
    from plgg import api
    from plgg.serve.views import make_view

    upload, folder = work.upload(case_id), work.upload_folder(case_id)
    if upload is None:
        return JobEnd("its scan is not at hand")
    others = {name: folder / file for name, file in upload.others.items()}
    options = replace(work.options, age_years=upload.age_years, sex=upload.sex, others=others)
    found = api.predict(
        [folder / upload.scan],
        out=work.cases,
        model=work.current_models(),
        options=options,
        watch=watch,
    )
    # The work list replaces this table, which holds the last scan only.
    (work.cases / "summary.csv").unlink(missing_ok=True)
    (outcome,) = found
    if outcome.reason is not None:
        reason = work.short(outcome.reason)
        return JobEnd(reason, refused=not reason.startswith(_UNEXPECTED))
    with watch.task("drawing"):
        make_view(work, case_id)
    return JobEnd()


def _fetch(work: WorkFolder, case_id: str, study: str, watch: JobWatch) -> str | None:
    """Fetch a study as a case's upload; returns the reason if it has no suitable series."""
    from plgg.serve.studies import fetch_study

    return fetch_study(work, case_id, study, watch)


def _push(work: WorkFolder, case_id: str, edit: int, watch: JobWatch) -> JobEnd:
    from plgg.serve.push import push_case

    return JobEnd(outcome=push_case(work, case_id, edit, watch))


def _round(work: WorkFolder, number: int, watch: JobWatch) -> JobEnd:
    from plgg.serve.rounds import run_round

    run_round(work, number, watch)
    return JobEnd()
