"""`Case` and `CaseDetails`: rows of the work list and details of one case, read from disk."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel

from plgg.core.errors import InputError, PlggError
from plgg.core.prediction_files import MASK, RESULT
from plgg.data.dicom.objects import own_objects
from plgg.data.quality import Verdict
from plgg.data.result import Marker, Result
from plgg.serve.errors import RequestError
from plgg.serve.models import model_name_of
from plgg.serve.pictures import slice_counts
from plgg.serve.queue import JobQueue
from plgg.serve.records import EditRecord, Job
from plgg.serve.views import CaseView, case_view, get_or_make_view
from plgg.serve.work import WorkFolder

CaseState = Literal["queued", "running", "done", "refused", "failed"]
PREFIX = "/api/v1"


class MarkerSummary(BaseModel):
    """The marker of a case; `label` is None where the model abstains."""

    label: str | None
    abstains: bool
    probabilities: dict[str, float]


class VerdictSummary(BaseModel):
    """The verdict of one gate; `verdict` is good, doubtful or failed."""

    name: str
    verdict: str
    message: str


class Case(BaseModel):
    """A line of the work list.

    Attributes:
        volume_ml: Volume of the newest mask.
        volume_interval_ml: Interval of the true volume, for the model's mask; None once edited.
        certainty: See `plgg.serve.views.CaseView`; None until a view was made.
        out_of_distribution: Distance to the training scans; larger is less similar.
        etag: SHA-256 of the newest mask, to be sent as If-Match; None before there is one.
    """

    id: str
    state: CaseState
    error: str | None = None
    created: str | None = None
    job: str | None = None
    volume_ml: float | None = None
    volume_interval_ml: tuple[float, float] | None = None
    marker: MarkerSummary | None = None
    certainty: float | None = None
    agreement: float | None = None
    verdicts: list[VerdictSummary] = []
    out_of_distribution: float | None = None
    edited: bool = False
    n_edits: int = 0
    model: str = ""
    thumbnail: str
    etag: str | None = None


class CaseDetails(Case):
    """Everything of one case.

    Attributes:
        slices: How many slices `slice.png` has of each plane.
        diameters_mm: Largest, perpendicular and depth of the model's mask.
        files: Paths of the images.
        dicom: Whether the newest mask has DICOM objects, which can be sent to a PACS.
        push: The newest job that sends the case there.
    """

    shape: tuple[int, int, int] | None = None
    spacing_mm: tuple[float, float, float] | None = None
    affine: tuple[tuple[float, float, float, float], ...] | None = None
    slices: dict[str, int] = {}
    diameters_mm: tuple[float, float, float] | None = None
    edits: list[EditRecord] = []
    files: dict[str, str] = {}
    result: dict[str, Any] | None = None
    dicom: bool = False
    push: Job | None = None


class CaseList:
    """The cases of a reading room, cached until their files change.

    Args:
        work: The reading room.
        queue: Its job queue.
    """

    def __init__(self, work: WorkFolder, queue: JobQueue) -> None:
        self._work, self._queue = work, queue
        self._known: dict[str, tuple[object, Case]] = {}
        self._lock = threading.Lock()

    def all(self) -> list[Case]:
        """All cases, sorted by name; one with damaged records is listed as failed."""
        found = (self._listed(case_id) for case_id in self._work.case_ids())
        return [case for case in found if case is not None]

    def _listed(self, case_id: str) -> Case | None:
        """One case of the list; None if it was just removed."""
        try:
            return self.get(case_id)
        except RequestError:
            return None
        except PlggError as error:
            return Case(
                id=case_id,
                state="failed",
                error=self._work.short(str(error)),
                thumbnail=f"{PREFIX}/cases/{case_id}/thumbnail.png",
            )

    def get(self, case_id: str) -> Case:
        """One case.

        Raises:
            RequestError: 404, if there is none.
        """
        self._work.require_case(case_id)
        job = self._queue.of_case(case_id)
        state = self._state(case_id), job and (job.id, job.state)
        with self._lock:
            known = self._known.get(case_id)
        if known and known[0] == state:
            return known[1]
        case = read_case(self._work, case_id, job)
        with self._lock:
            self._known[case_id] = state, case
        return case

    def details(self, case_id: str) -> CaseDetails:
        """Everything of one case; raises as `get`."""
        details = read_details(self._work, self.get(case_id))
        return details.model_copy(update={"push": self._queue.of_push(case_id)})

    def _state(self, case_id: str) -> tuple[object, ...]:
        """Cache key of a case: the times of its files, and its newest edit."""
        work = self._work
        files = work.case_folder(case_id) / RESULT, work.view_folder(case_id) / "view.json"
        newest = work.edit_folders(case_id)[-1:]
        return (*(path.stat().st_mtime_ns if path.exists() else 0 for path in files), *newest)


def read_case(work: WorkFolder, case_id: str, job: Job | None) -> Case:
    """A line of the work list from the disk."""
    upload = work.upload(case_id)
    case = Case(
        id=case_id,
        state="done",
        created=upload.created if upload else None,
        job=job.id if job else None,
        thumbnail=f"{PREFIX}/cases/{case_id}/thumbnail.png",
    )
    try:
        result = work.result(case_id)
    except InputError as error:
        return case.model_copy(update={"state": "failed", "error": work.short(str(error))})
    case = case.model_copy(update=_progress(job, predicted=result is not None))
    return case if result is None else case.model_copy(update=_predicted(work, case_id, result))


def _progress(job: Job | None, *, predicted: bool) -> dict[str, object]:
    """State and error of a case, by the newest job of it."""
    if job is None or (predicted and job.finished):
        return {"state": "done" if predicted else "failed"}
    if job.state in ("queued", "running"):
        return {"state": job.state}
    # A job ended but there is no result: its folder was removed since.
    error = job.error or "its prediction is no longer there"
    return {"state": "refused" if job.refused else "failed", "error": error}


def _predicted(work: WorkFolder, case_id: str, result: Result) -> dict[str, object]:
    edits = work.edits(case_id)
    view = case_view(work, case_id, result)
    familiarity = result.familiarity
    interval = result.volume_interval
    return {
        "volume_ml": edits[-1].volume_ml if edits else result.volume_ml,
        "volume_interval_ml": (interval.low_ml, interval.high_ml)
        if interval and not edits
        else None,
        "marker": result.marker and _marker(result.marker),
        "certainty": view.certainty if view else None,
        "agreement": result.uncertainty.agreement,
        "verdicts": _verdicts(result),
        "out_of_distribution": familiarity.value if familiarity else None,
        "edited": bool(edits),
        "n_edits": len(edits),
        "model": model_name_of(work, result),
        "etag": edits[-1].mask_sha256 if edits else result.files[MASK],
    }


def _marker(marker: Marker) -> MarkerSummary:
    label = None if marker.withheld else marker.predicted
    return MarkerSummary(
        label=label, abstains=marker.withheld, probabilities=dict(marker.probabilities)
    )


def _verdicts(result: Result) -> list[VerdictSummary]:
    found: list[Verdict] = [*(result.quality.verdicts if result.quality else ())]
    if result.familiarity:
        found.append(result.familiarity)
    return [VerdictSummary(name=v.gate, verdict=v.status, message=_gate_text(v)) for v in found]


def _gate_text(verdict: Verdict) -> str:
    """Message of a verdict; for a good one the value and limits, as messages describe faults."""
    if verdict.status != "good":
        return verdict.message
    return verdict.limits if verdict.value is None else f"{verdict.value:g} ({verdict.limits})"


def read_details(work: WorkFolder, case: Case) -> CaseDetails:
    """Everything of a case from the disk."""
    details = CaseDetails(**case.model_dump())
    result = work.result(case.id) if case.etag else None
    if result is None:
        return details
    lines = result.diameters
    update: dict[str, object] = {
        "result": _public(work, result),
        "edits": work.edits(case.id),
        "dicom": bool(own_objects(work.newest_folder(case.id))),
        "diameters_mm": lines and (lines.largest_mm, lines.perpendicular_mm, lines.depth_mm),
        "files": {
            name: f"{PREFIX}/cases/{case.id}/{name}.nii.gz"
            for name in ("volume", "mask", "probability", "uncertainty")
        },
    }
    return details.model_copy(update={**update, **_grid(_view(work, case.id))})


def _public(work: WorkFolder, result: Result) -> dict[str, Any]:
    """`result.json` without absolute paths, as folder names may identify people."""
    record: dict[str, Any] = result.model_dump(mode="json")
    upload = work.upload(result.case_id)
    name = upload.scan if upload else Path(result.input.path).name
    record["input"]["path"] = f"uploads/{result.case_id}/{name}" if upload else name
    return record


def _view(work: WorkFolder, case_id: str) -> CaseView | None:
    """The view; None where it cannot be made, such as for a scan that is gone."""
    try:
        return get_or_make_view(work, case_id)
    except PlggError:
        return None


def _grid(view: CaseView | None) -> dict[str, object]:
    if view is None:
        return {}
    return {
        "shape": view.shape,
        "spacing_mm": view.spacing_mm,
        "affine": view.affine,
        "certainty": view.certainty,
        "slices": slice_counts(view.shape, np.array(view.affine)),
    }
