"""`push`: send plgg's DICOM objects to a PACS that does not have them yet.

An object's UID is derived from the scan, the model and the settings, so that the same prediction is
the same object. The PACS is searched before each attempt: an object that it stored before the
connection broke is not sent twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from plgg.core.errors import InputError, PlggError
from plgg.core.paths import require_folder
from plgg.core.prediction_files import RESULT
from plgg.core.progress import Silent, Watch
from plgg.data.dicom.objects import own_objects
from plgg.pacs.archive import Archive, PacsLink, open_archive
from plgg.pacs.errors import PacsError, UnreachableError
from plgg.pacs.objects import read_instance_uids
from plgg.pacs.records import Instance
from plgg.pacs.retry import Retries, with_retries

SILENT = Silent()


@dataclass(frozen=True)
class PushOutcome:
    """Result of sending one object.

    Attributes:
        path: Its file.
        state: Whether it was sent, was there already, or was refused.
        reason: Why it was refused.
    """

    path: Path
    state: Literal["sent", "there", "refused"]
    reason: str | None = None


def push(link: PacsLink, folders: Sequence[Path], watch: Watch = SILENT) -> list[PushOutcome]:
    """Send the DICOM objects of predictions.

    Args:
        link: The PACS.
        folders: Folders of predictions, one or many in each; of an edit; or the work folder of
            `plgg serve`, `plgg pacs watch` or `plgg pacs listen`.
        watch: Told of the progress.

    Returns:
        The result of each object, in order.

    Raises:
        PlggError: If a folder holds none, or the PACS does not answer.
    """
    paths = list(dict.fromkeys(path for folder in folders for path in objects_in(folder)))
    with open_archive(link) as archive:
        return push_objects(archive, paths, link.retries, watch)


def push_objects(
    archive: Archive, paths: Sequence[Path], retries: Retries, watch: Watch = SILENT
) -> list[PushOutcome]:
    """Send files; if one is refused, the others are still sent.

    Raises:
        UnreachableError: If the PACS does not answer after all retries.
    """
    done: list[PushOutcome] = []
    with watch.task("pushing") as progress:
        for path in paths:
            done.append(_push_one(archive, path, retries))
            refused = sum(one.state == "refused" for one in done)
            progress(len(done), len(paths), refused)
    return done


def _push_one(archive: Archive, path: Path, retries: Retries) -> PushOutcome:
    try:
        return PushOutcome(path, _send_if_absent(archive, path, read_instance_uids(path), retries))
    except UnreachableError:
        raise
    except PlggError as error:
        return PushOutcome(path, "refused", str(error))


def _send_if_absent(
    archive: Archive, path: Path, instance: Instance, retries: Retries
) -> Literal["sent", "there"]:
    """Send an object if it is not there; an attempt that broke off may have stored it."""
    tried = False

    def attempt() -> Literal["sent", "there"]:
        nonlocal tried
        if archive.holds(instance):
            return "sent" if tried else "there"
        tried = True
        _store(archive, path, instance)
        return "sent"

    return with_retries(attempt, retries)


def _store(archive: Archive, path: Path, instance: Instance) -> None:
    try:
        archive.store(path, instance)
    except UnreachableError:
        raise
    except PacsError:
        if archive.holds(instance):  # Sent by another client, or reported as a conflict.
            return
        raise
    if not archive.holds(instance):
        raise UnreachableError(
            "does not show the object that it took",
            where=str(archive.address),
            remedy="It may be slow to do so: try again later.",
        )


def objects_in(folder: Path) -> list[Path]:
    """The DICOM objects that plgg wrote below a folder.

    Raises:
        InputError: If there are none.
    """
    require_folder(folder)
    found = [path for one in _folders(folder) for path in own_objects(one)]
    if not found:
        raise InputError(
            "holds no DICOM object that plgg wrote",
            where=folder,
            remedy="Name folders of predictions that were made from DICOM.",
        )
    return found


def _folders(folder: Path) -> Iterator[Path]:
    """A folder of a case and those of its edits; else those of all cases in it."""
    if own_objects(folder) or (folder / RESULT).is_file():
        yield folder
        yield from sorted(folder.glob("edits/[0-9][0-9][0-9][0-9]"))
        return
    root = folder / "cases" if (folder / "cases").is_dir() else folder
    for case in sorted(root.iterdir()):
        if (case / RESULT).is_file() and not case.is_symlink():
            yield from _folders(case)
