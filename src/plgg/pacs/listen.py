"""`listen`: receive studies by C-STORE, and predict each once no more images of it come.

    listen(ReceiverOptions(port=11112, aet="PLGG"), StudyWork(Path("work")), quiet_seconds=30)

Studies that were not finished when the process ended are resumed at the next start.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from plgg.core.errors import PlggError
from plgg.core.output import output_folder
from plgg.pacs.archive import require_extra
from plgg.pacs.errors import UnreachableError
from plgg.pacs.ledger import StudyRecord
from plgg.pacs.receiver import Receiver, ReceiverOptions
from plgg.pacs.work import PACS_WORK, StudyWork

_LOOK_SECONDS = 1.0


def listen(
    options: ReceiverOptions,
    work: StudyWork,
    *,
    quiet_seconds: float = 30.0,
    until: Callable[[], bool] = lambda: False,
) -> None:
    """Receive and predict studies, until it is stopped.

    Args:
        options: Options of the receiver.
        work: Work folder, and how to predict.
        quiet_seconds: A study is complete after so many seconds without a new image.
        until: Called repeatedly; ends the loop when it returns True.

    Raises:
        PlggError: If the options are not safe, the address is in use, or the folder cannot be
            written to.
    """
    options.require_safe()
    require_extra()
    with output_folder(work.root, PACS_WORK):
        work.make()
        receiver = Receiver(options, work.root / "scans")
        port = receiver.start()
        host = f"[{options.host}]" if ":" in options.host else options.host
        work.watch.say(
            f"listening: dicom{'s' if options.tls else ''}://{options.aet}@{host}:{port}"
        )
        try:
            for key in unfinished(work):
                receiver.expect(key)
            while not until():
                for key in receiver.quiet(quiet_seconds):
                    take(key, work, receiver, quiet_seconds)
                time.sleep(min(_LOOK_SECONDS, quiet_seconds / 4))
        finally:
            receiver.stop()


def unfinished(work: StudyWork) -> list[str]:
    """Names of the received studies that are not settled."""
    keys = sorted(path.name for path in (work.root / "scans").glob("study-*"))
    return [key for key in keys if not record_of(work, key).settled]


def record_of(work: StudyWork, key: str) -> StudyRecord:
    """The record of a study; a new one if its number of images has changed."""
    n_images = sum(1 for _ in work.scan(key).glob("image-*.dcm"))
    record = work.ledger.get(key)
    if record is None or record.n_images != n_images:
        return StudyRecord(key=key, n_images=n_images)
    return record


def take(key: str, work: StudyWork, receiver: Receiver, quiet_seconds: float) -> None:
    """Predict a study and send it back; a failure is retried after the next quiet period."""
    record = record_of(work, key)
    receiver.forget(key, quiet_seconds)
    if record.settled:
        return
    try:
        record = work.finish(record)
    except UnreachableError as error:
        work.watch.say(f"{key}: {error}")
        receiver.expect(key)
        return
    except PlggError as error:
        again = record.model_copy(update={"attempts": record.attempts + 1})
        record = work.failed(again, str(error))
    if not record.settled:
        receiver.expect(key)
