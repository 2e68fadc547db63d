"""List studies of a PACS, and fetch one as the upload of a case.

A case is named by a hash of the study's UID, so that the same study is the same case.
"""

from __future__ import annotations

from dataclasses import replace

from plgg.core.progress import Watch
from plgg.pacs.archive import PacsLink, open_archive
from plgg.pacs.choose import fetch_scan, no_suitable_series_reason
from plgg.pacs.find import find, with_series
from plgg.pacs.records import Study, StudyQuery, study_not_found
from plgg.pacs.retry import ONCE
from plgg.serve.errors import RequestError
from plgg.serve.models import sequences
from plgg.serve.uploads import save_fetched_folder
from plgg.serve.work import WorkFolder

_SECONDS = 15.0


def require_pacs(work: WorkFolder) -> PacsLink:
    """The link to the PACS.

    Raises:
        RequestError: 404, if the room was opened without one.
    """
    if work.pacs is None:
        raise RequestError(404, "no PACS is known", remedy="Open the room with --dicomweb URL.")
    return work.pacs


def list_studies(work: WorkFolder, query: StudyQuery) -> list[Study]:
    """Search studies; the PACS is asked only once, because the client waits.

    Raises:
        RequestError: 404, if there is no PACS.
        PacsError: If it does not answer, or refuses.
    """
    return find(replace(require_pacs(work), retries=ONCE, seconds=_SECONDS), query)


def fetch_study(work: WorkFolder, case_id: str, study: str, watch: Watch) -> str | None:
    """Fetch the scan of a study as a case's upload; resumes an interrupted download.

    Args:
        work: The reading room.
        case_id: Name of the case.
        study: StudyInstanceUID.
        watch: Told of the progress.

    Returns:
        Why the study holds no scan that the model wants; None where it does.

    Raises:
        PlggError: If the PACS does not answer, refuses, or sends unusable objects.
    """
    link, folder = require_pacs(work), work.studies / case_id
    with open_archive(link) as archive, watch.task("fetching from the PACS") as progress:
        whole = with_series(archive, Study(study), link)
        if not whole.series:
            raise study_not_found(str(archive.address))
        wanted = sequences(work)
        images = fetch_scan(link, archive, whole, folder, wanted=wanted, progress=progress)
    if not images:
        return no_suitable_series_reason(whole)
    save_fetched_folder(work, folder, case_id)
    return None
