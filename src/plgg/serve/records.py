"""The records on disk of a reading room: uploads, edits, rounds and jobs, one JSON file each."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat

from plgg.core.case_id import CaseId, PatientId
from plgg.core.paths import FileName

JobKind = Literal["predict", "round", "push"]
JobState = Literal["queued", "running", "done", "failed", "cancelled"]
FINISHED: tuple[JobState, ...] = ("done", "failed", "cancelled")
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def now() -> str:
    """The time in UTC, such as `2026-03-01T12:00:00.123456+00:00`."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


class ServeRecord(BaseModel):
    """Base of the records: frozen; unknown keys, infinity and NaN are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class UploadRecord(ServeRecord):
    """`uploads/CASE/upload.json`: an uploaded scan.

    Attributes:
        scan: Name of the file or the folder beside this record.
        kind: Format of the scan.
        others: File names of further sequences of the patient, by sequence.
        created: Time of the upload.
        age_years: Age at the scan, if given.
        sex: Sex, if given.
        digest: SHA-256 of the scan, with its further sequences.
    """

    case_id: CaseId
    scan: FileName
    kind: Literal["nifti", "dicom"]
    others: dict[str, FileName] = {}
    created: str
    age_years: Annotated[float, Field(ge=0, lt=150)] | None = None
    sex: Literal["F", "M"] | None = None
    digest: Sha256


class EditRecord(ServeRecord):
    """`cases/CASE/edits/NNNN/edit.json`: a mask that a person has corrected.

    Attributes:
        number: From 1; 0 stands for the model's mask.
        who: Name of the user; blank if not given.
        when: Time of saving, in UTC.
        base_sha256: SHA-256 of the model's mask file.
        replaces_sha256: SHA-256 of the mask file that was the newest at the time of saving.
        mask_sha256: SHA-256 of `mask.nii.gz` beside this record.
        minutes: Time spent, as the client reports it.
        dice_to_base: Overlap with the model's mask.
        volume_ml: Volume of the corrected mask.
        volume_change_ml: Its difference from the volume of the model's mask.
        no_dicom: Why no DICOM objects of the edit could be written; None if they were, or for
            NIfTI.
    """

    number: Annotated[int, Field(ge=1, le=9999)]
    who: PatientId
    when: str
    base_sha256: Sha256
    replaces_sha256: Sha256
    mask_sha256: Sha256
    minutes: Annotated[float, Field(ge=0, le=1440)] | None = None
    dice_to_base: Annotated[float, Field(ge=0, le=1)]
    volume_ml: NonNegativeFloat
    volume_change_ml: float
    no_dicom: str | None = None


class RoundRecord(ServeRecord):
    """`rounds/NNN/round.json`: the request of a fine-tuning round.

    Attributes:
        number: From 1.
        created: Time of the request.
        cases: Corrected cases to train on, as requested; None for all.
        model: Name of the model to start from.
    """

    number: Annotated[int, Field(ge=1, le=999)]
    created: str
    cases: tuple[CaseId, ...] | None = None
    model: str = ""


class JobProgress(ServeRecord):
    """Progress of a job: items of its current step."""

    label: str
    done: int
    total: int


class Job(ServeRecord):
    """`jobs/ID.json`: one job of the queue.

    Attributes:
        id: Identifier; sorts by the time of queuing.
        case: Case to predict, or to send to the PACS.
        round: Number of a fine-tuning round.
        edit: Number of the correction to send; 0 is the model's mask.
        study: UID of the study to fetch from the PACS first; removed when the job has ended.
        error: Why it failed, in one line.
        outcome: Its result in one line, where there is more to report than success.
        refused: Whether the scan itself is at fault, so that it would fail again.
        attempts: How often it was started.
    """

    id: Annotated[str, Field(pattern=r"^[0-9]{8}-[0-9]{12}-[0-9a-f]{8}$")]
    kind: JobKind
    case: CaseId | None = None
    round: int | None = None
    edit: Annotated[int, Field(ge=0, le=9999)] | None = None
    study: Annotated[str, Field(pattern=r"^[0-9.]{1,64}$")] | None = None
    state: JobState = "queued"
    progress: JobProgress | None = None
    error: str | None = None
    outcome: str | None = None
    refused: bool = False
    attempts: int = 0
    created: str
    started: str | None = None
    ended: str | None = None

    @property
    def finished(self) -> bool:
        """Whether the job has ended."""
        return self.state in FINISHED
