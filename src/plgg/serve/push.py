"""Send the DICOM objects of the model's mask, or of a correction, to the PACS.

Disabled unless the room was opened with `--push`. UIDs are derived from the content, and the PACS
is searched for each before it is sent: a repeat, also after a crash, adds nothing.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from plgg.core.progress import Watch
from plgg.data.dicom.objects import own_objects
from plgg.pacs.archive import PacsLink, open_archive
from plgg.pacs.errors import PacsError
from plgg.pacs.push import push_objects
from plgg.pacs.retry import Retries
from plgg.serve.errors import RequestError, not_found
from plgg.serve.studies import require_pacs
from plgg.serve.work import WorkFolder, read_edit

_MOST_ATTEMPTS = 4
"""Fewer than usual, as other jobs wait while a PACS does not answer."""


def require_push(work: WorkFolder) -> PacsLink:
    """The link to the PACS, if sending is allowed.

    Raises:
        RequestError: 404 if the room was opened without a PACS, 403 if it was so without `--push`.
    """
    link = require_pacs(work)
    if not work.push:
        raise RequestError(
            403, "nothing may be sent to the PACS", remedy="Open the room with --push."
        )
    return link


def newest_edit(work: WorkFolder, case_id: str) -> int:
    """Number of the newest correction; 0, the model's mask, where there is none."""
    folders = work.edit_folders(case_id)
    return int(folders[-1].name) if folders else 0


def mask_folder(work: WorkFolder, case_id: str, edit: int) -> Path:
    """The folder of a mask and its objects: the prediction's for 0, else that of a correction.

    Raises:
        RequestError: 404, if there is none.
    """
    return work.mask(case_id, edit).parent


def objects_to_send(work: WorkFolder, case_id: str, edit: int) -> list[Path]:
    """The DICOM objects of a mask, in the order of sending.

    Raises:
        RequestError: 404 if there is no such mask, 409 if it has no DICOM object.
    """
    folder = mask_folder(work, case_id, edit)
    found = own_objects(folder)
    if not found:
        reason = read_edit(folder).no_dicom if edit else None
        raise RequestError(
            409,
            f"has no DICOM object to send{f': {reason}' if reason else ''}",
            where=case_id,
            remedy="Only scans that were DICOM are sent back.",
        )
    return found


def push_case(work: WorkFolder, case_id: str, edit: int, watch: Watch) -> str:
    """Send the objects of a mask.

    Args:
        work: The reading room.
        case_id: Of the case.
        edit: Number of the correction; 0 is the model's mask.
        watch: Told of the progress.

    Returns:
        How many were sent, and how many were there already, in one line.

    Raises:
        PlggError: If it may not be sent, or the PACS does not answer or refuses.
    """
    link, paths = require_push(work), objects_to_send(work, case_id, edit)
    retries = _bounded(link.retries)
    with open_archive(replace(link, retries=retries)) as archive:
        sent = push_objects(archive, paths, retries, watch)
    refused = next((one for one in sent if one.state == "refused"), None)
    if refused is not None:
        raise PacsError(f"{refused.path.name} was refused: {refused.reason}")
    n_sent = sum(one.state == "sent" for one in sent)
    return f"{n_sent} objects sent, {len(sent) - n_sent} were there already"


def _bounded(retries: Retries) -> Retries:
    return replace(retries, attempts=min(retries.attempts, _MOST_ATTEMPTS))


def require_known(work: WorkFolder, case_id: str) -> None:
    """Check that a case was predicted.

    Raises:
        RequestError: 404 if there is no such case, or nothing was predicted yet.
    """
    work.require_case(case_id)
    if work.result(case_id) is None:
        raise not_found("nothing was predicted yet", case_id)
