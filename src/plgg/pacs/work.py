"""`StudyWork`: predict a study whose images are on disk and, if wanted, send the result back.

WORK/studies/KEY.json     its state: `plgg.pacs.ledger`
WORK/scans/KEY/           its images, unchanged
WORK/cases/KEY/           the prediction folder of `plgg predict`

Every step may be repeated: images, predictions and objects on the PACS that are there already are
not made again. A prediction that was interrupted is started again, at most `MOST_ATTEMPTS` times in
all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import psutil

from plgg.core.errors import OutputError, PlggError
from plgg.core.files import make_folder
from plgg.core.output import OutputKind
from plgg.core.progress import Silent, Watch
from plgg.core.workers import in_workers
from plgg.data.dicom.objects import own_objects
from plgg.pacs.archive import GIB, PacsLink, open_archive
from plgg.pacs.ledger import MOST_ATTEMPTS, Ledger, StudyRecord
from plgg.pacs.push import push_objects
from plgg.predict.options import PredictOptions

PACS_WORK = OutputKind(
    "work with a PACS",
    ("studies", "scans", "cases"),
    inside=tuple((name, None) for name in (".", "studies", "scans")),
)
_AS_PREDICT = PredictOptions()
_FREE_GIB = 1.0
SILENT = Silent()


class Prediction(NamedTuple):
    """A study to predict in a worker process.

    Attributes:
        scan: Folder of the study's images.
        out: Folder of predictions.
        models: As `plgg.api.predict` takes them; none for the installed one.
        options: How to predict.
    """

    scan: Path
    out: Path
    models: tuple[Path, ...]
    options: PredictOptions


Predict = Callable[[Prediction], str | None]
"""Predicts a study; returns the reason of a failure in one line, or None."""


@dataclass(frozen=True)
class StudyWork:
    """A work folder, and how its studies are predicted and sent back.

    Attributes:
        root: The folder.
        models: As `plgg.api.predict` takes them.
        options: How scans are predicted, and the limits of one.
        back: PACS to send results to; None for none.
        watch: Told of the progress, and of each study once.
        predict: Function that predicts a study; by default in a worker process.
    """

    root: Path
    models: tuple[Path, ...] = ()
    options: PredictOptions = _AS_PREDICT
    back: PacsLink | None = None
    watch: Watch = SILENT
    predict: Predict | None = None

    @property
    def ledger(self) -> Ledger:
        """The records of the studies."""
        return Ledger(self.root / "studies")

    @property
    def cases(self) -> Path:
        """The folder of predictions."""
        return self.root / "cases"

    def scan(self, key: str) -> Path:
        """The folder of a study's images."""
        return self.root / "scans" / key

    def make(self) -> None:
        """Make the folders.

        Raises:
            OutputError: If one cannot be made.
        """
        for name in PACS_WORK.owns:
            make_folder(self.root / name)

    def finish(self, record: StudyRecord) -> StudyRecord:
        """Predict a study whose images are on disk, and send it back; a failure is reported once.

        Raises:
            UnreachableError: If the PACS to send to does not answer; the prediction is kept, and
                sent at the next call.
            OutputError: If the disk cannot be written.
        """
        if record.state != "predicted":
            if record.attempts >= MOST_ATTEMPTS:
                return self.failed(record, "its process ended before it was predicted")
            begun = {"state": "pulled", "attempts": record.attempts + 1}
            record = self.ledger.put(record.model_copy(update=begun))
            reason = (self.predict or predict_in_worker)(
                Prediction(self.scan(record.key), self.cases, self.models, self.options)
            )
            if reason is not None:
                return self.failed(record, reason)
            record = self.ledger.put(
                record.model_copy(update={"state": "predicted", "reason": None})
            )
        return self._send_back(record)

    def _send_back(self, record: StudyRecord) -> StudyRecord:
        paths = own_objects(self.cases / record.key)
        n_sent = 0
        if self.back is not None:
            if not paths:
                return self.failed(record, "no DICOM object could be made of it", final=True)
            with open_archive(self.back) as archive:
                sent = push_objects(archive, paths, self.back.retries)
            refused = [one for one in sent if one.state == "refused"]
            if refused:
                return self.failed(record, refused[0].reason or "", final=True)
            n_sent = len(sent)
        self.watch.say(f"{record.key}: predicted{f', {n_sent} sent back' if n_sent else ''}")
        done = {"state": "done", "reason": None, "n_sent": n_sent}
        return self.ledger.put(record.model_copy(update=done))

    def failed(self, record: StudyRecord, reason: str, *, final: bool = False) -> StudyRecord:
        """Record a failure, and report it if its reason is new."""
        if reason != record.reason:
            self.watch.say(f"{record.key}: {reason}")
        attempts = MOST_ATTEMPTS if final else record.attempts
        update = {"state": "failed", "reason": reason, "attempts": attempts}
        return self.ledger.put(record.model_copy(update=update))

    def passed_over(self, record: StudyRecord, reason: str) -> StudyRecord:
        """Record that a study has no suitable series, and report it."""
        self.watch.say(f"{record.key}: {reason}")
        return self.ledger.put(record.model_copy(update={"state": "passed over", "reason": reason}))


def predict_in_worker(job: Prediction) -> str | None:
    """Predict a study in a worker process with limits of time and memory."""
    free = float(psutil.virtual_memory().available) / GIB
    (found,) = in_workers(
        [job],
        _predict,
        start=_nothing,
        workers=1,
        seconds=60.0 * job.options.case_minutes,
        gib=job.options.case_gib or free,
    )
    return found.reason or found.result


def _nothing() -> None:
    """Initialise a worker process, which needs no state."""


def _predict(_state: None, job: Prediction) -> str | None:
    return predict_in_process(job)


def predict_in_process(job: Prediction) -> str | None:
    """Predict a study in this process; returns the reason of a failure in one line, or None."""
    from plgg import api

    try:
        (found,) = api.predict(
            [job.scan], out=job.out, model=job.models or None, options=job.options
        )
    except PlggError as error:
        return str(error)
    # It holds the last study only; the ledger holds all.
    (job.out / "summary.csv").unlink(missing_ok=True)
    return found.reason


def require_space(folder: Path, more_bytes: int = 0) -> None:
    """Check that the disk has space for more images.

    Raises:
        OutputError: If it has not.
    """
    free = psutil.disk_usage(str(folder)).free
    if free - more_bytes < _FREE_GIB * GIB:
        raise OutputError(
            f"has less than {_FREE_GIB:g} GiB of free space left",
            where=folder,
            remedy="Free some, or choose another work folder.",
        )
