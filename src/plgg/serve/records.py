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
    """`uploads/CASE/upload.json`: the scan as it was given.

    Attributes:
        scan: Name of the file or the folder beside this record.
        kind: What it is.
        others: Further sequences of the patient: the name of the file by the sequence.
        created: When it was uploaded.
        age_years: At the scan, where it was given.
        sex: Where it was given.
        digest: SHA-256 of the bytes, all files together.
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
        who: As they called themselves; blank if they did not.
        when: In UTC.
        base_sha256: Of the model's mask file.
        replaces_sha256: Of the mask file that was the newest when this was saved.
        mask_sha256: Of `mask.nii.gz` beside this record.
        minutes: Spent at it, as the client says.
        dice_to_base: Overlap with the model's mask.
        volume_ml: Of the corrected mask.
        volume_change_ml: Less the volume of the model's mask.
        no_dicom: Of a case that was DICOM, why the edit is not there as such; None where it is.
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
    """`rounds/NNN/round.json`: a round of learning as it was asked for.

    Attributes:
        number: From 1.
        created: When.
        cases: Corrected cases that it is to learn from, as asked; None for all.
        model: The model that it starts from, by name.
    """

    number: Annotated[int, Field(ge=1, le=999)]
    created: str
    cases: tuple[CaseId, ...] | None = None
    model: str = ""


class JobProgress(ServeRecord):
    """How far a job is: items of the step in hand."""

    label: str
    done: int
    total: int


class Job(ServeRecord):
    """`jobs/ID.json`: one job of the queue.

    Attributes:
        id: Sorts by the time it was queued.
        case: Of a prediction, or to be sent to the PACS.
        round: Of a round of learning.
        edit: Number of the correction that is to be sent; 0 is the model's mask.
        study: UID of the study that is to be fetched from the PACS first; gone once it has ended.
        error: Why it failed, in one line.
        outcome: What it came to, in one line, where there is more to say than that it is done.
        refused: Whether the scan itself is the reason: the same scan fails again.
        attempts: How often it was begun.
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
        """Whether nothing more will come of it."""
        return self.state in FINISHED
