"""Records of a store: the contents of `cohort.json` and `case.json`."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from plgg.config import Label, PreprocessConfig
from plgg.config import Sequence as SequenceName
from plgg.core.case_id import CaseId, ClassNames, PatientId, first_duplicate
from plgg.core.placement import BoundedShape, Placement, Rows
from plgg.core.records import unsealed
from plgg.data.quality import Quality, Status

# Preprocessing settings of stores of version 1, whose files do not record them.
VERSION_1_SETTINGS = PreprocessConfig(registration="centre", stripping="none")


GridKind = Literal["atlas", "slices"]


class StoredImage(BaseModel):
    """A sequence of a case other than the reference: its path, hash and warnings of the check.

    `used` is whether it could be registered to the reference; if not, the case lacks it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    path: str
    sha256: str
    warnings: tuple[str, ...] = ()
    used: bool = True


class StoredCase(BaseModel):
    """Record of one case in `cohort.json`; unknown values are None.

    `flair` is the path of the reference, whatever its sequence. `channels` are the channels of the
    image array; None for a FLAIR array without a channel axis, in stores of earlier versions.
    `status` is the worst verdict of the gates, `good` or `doubtful`; None in stores of version 1,
    which had no gates. `flair_warnings` and `mask_warnings` are warnings of the check when the case
    was stored. `columns` are further columns of the manifest, for tasks. `labels` are the labels of
    the cohort that its mask annotates.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    case_id: CaseId
    patient_id: PatientId
    marker: str | None
    has_mask: bool
    site: str | None
    age_years: float | None
    sex: str | None
    flair: str
    flair_sha256: str
    reference: str = "flair"
    channels: tuple[str, ...] | None = None
    others: dict[str, StoredImage] = {}
    shape: BoundedShape
    status: Status | None = None
    flair_warnings: tuple[str, ...] = ()
    mask_warnings: tuple[str, ...] = ()
    columns: dict[str, str] = {}
    labels: tuple[str, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """All warnings of the check."""
        others = (warning for image in self.others.values() for warning in image.warnings)
        return (*self.flair_warnings, *others, *self.mask_warnings)


class FailedCase(BaseModel):
    """A case that could not be stored: the reason, and the verdicts until then."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    case_id: CaseId
    reason: str
    quality: Quality | None = None


class Cohort(BaseModel):
    """The contents of `cohort.json`.

    Other scans are compatible only if they are preprocessed with the same spacing and settings. In
    a store with `labels`, the masks are the region of the first label.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format: Literal["plgg-store"] = "plgg-store"
    version: Literal[1, 2] = 2
    spacing_mm: Annotated[float, Field(gt=0.0, le=100.0)]
    grid: GridKind = "atlas"
    settings: PreprocessConfig = VERSION_1_SETTINGS
    channels: tuple[SequenceName, ...] = ("flair",)
    labels: tuple[Label, ...] = ()
    classes: ClassNames
    cases: tuple[StoredCase, ...]
    failed: tuple[FailedCase, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _is_whole(cls, record: Any) -> Any:  # noqa: ANN401 - JSON is any
        return unsealed(record)

    @property
    def voxels(self) -> str:
        """The grid in words, such as "2 mm voxels"."""
        return describe_grid(self.grid, self.spacing_mm)

    def warned(self) -> str | None:
        """How many warnings of how many cases there are; None where there are none."""
        counts = [len(case.warnings) for case in self.cases if case.warnings]
        if not counts:
            return None
        warnings = "warning" if sum(counts) == 1 else "warnings"
        return (
            f"{sum(counts)} {warnings} in {len(counts)} {'case' if len(counts) == 1 else 'cases'}"
        )

    @model_validator(mode="after")
    def _cases_once(self) -> Self:
        twin = first_duplicate(case.case_id for case in self.cases)
        if twin is not None:
            raise ValueError(f"two cases are called {twin!r}")
        return self


class CaseRecord(BaseModel):
    """The contents of `case.json`: the case, its placement, what it was made from and how.

    `sha256` is that of each file beside it, by name; empty in stores of earlier versions.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    case: StoredCase
    spacing_mm: Annotated[float, Field(gt=0.0, le=100.0)]
    grid: GridKind = "atlas"
    settings: PreprocessConfig = VERSION_1_SETTINGS
    placement: Placement
    reference_from: dict[str, Rows] = {}
    labels: tuple[Label, ...] = ()
    mask_sha256: str | None
    quality: Quality | None = None
    sha256: dict[str, str] = {}

    @model_validator(mode="before")
    @classmethod
    def _is_whole(cls, record: Any) -> Any:  # noqa: ANN401 - JSON is any
        return unsealed(record)

    @model_validator(mode="after")
    def _is_of_one_box(self) -> Self:
        if self.case.shape != self.placement.box_shape:
            raise ValueError("the case and its placement have boxes of different shapes")
        return self


def describe_grid(kind: GridKind, spacing_mm: float) -> str:
    """Describe a grid in words."""
    if kind == "atlas":
        return f"{spacing_mm:g} mm voxels"
    return f"slices of at least {spacing_mm:g} mm"
