"""Compare the old and the new model of a fine-tuning round on the same patients.

    OUT/comparison.json

Neither model was trained on these patients. The new model is accepted unless it is worse on them
by more than a margin for chance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Literal

from pydantic import BaseModel, ConfigDict

from plgg.core.case_id import CaseId, PatientId
from plgg.core.errors import RunError
from plgg.core.files import write_json
from plgg.core.records import read_record

FILE = "comparison.json"
MOST_MARGIN = 0.02
"""Upper limit of the margin, because the standard error of a few patients may be large."""
Part = Literal["held-out", "validation"]
PARTS: tuple[Part, ...] = ("held-out", "validation")
_NAMES = {
    "all": "all patients",
    "held-out": "corrected patients that were held out",
    "validation": "patients of the old training's validation",
}


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class PatientChange(_Record):
    """The Dice of one patient before and after the round, averaged over scans.

    Attributes:
        part: `held-out` is corrected and held out of every round; `validation` is of the store that
            the model was trained on, predicted by the one network that never saw them.
        cases: Scans of the patient.
    """

    patient_id: PatientId
    part: Part
    cases: tuple[CaseId, ...]
    dice_before: float
    dice_after: float
    difference: float


class PartComparison(_Record):
    """The mean Dice over a group of patients, before and after the round.

    Attributes:
        part: Which patients; `all` where there are both kinds.
        standard_error: Of the mean difference; None of a single patient.
        margin: How far below 0 the difference may be: the standard error, 0.02 at most.
    """

    part: Literal["all", "held-out", "validation"]
    n: int
    dice_before: float
    dice_after: float
    difference: float
    standard_error: float | None
    margin: float

    @property
    def is_worse(self) -> bool:
        """Whether the new model is worse by more than the margin."""
        return self.difference < -self.margin

    @property
    def sentence(self) -> str:
        """The figures in words."""
        error = "" if self.standard_error is None else f" ± {self.standard_error:.3f}"
        return (
            f"Dice {self.dice_before:.3f} → {self.dice_after:.3f} on {self.n} "
            f"{_NAMES[self.part]} ({self.difference:+.3f}{error})"
        )


class RoundComparison(_Record):
    """The contents of `comparison.json`.

    Attributes:
        accepted: Whether the new model replaces the old one.
        reason: Why, or why not, in a sentence or two.
        n_training: Corrected patients in the training.
        n_rehearsed: Patients of the old training in the training.
        n_validation: Patients of the comparison.
        dice_before: Mean over these patients, like the three fields that follow.
        parts: All patients and, where there are both kinds, each kind by itself.
        patients: Each of them.
        trained_on: Corrected scans in the training.
        left_out: Corrected scans that could not be used, and why.
        seconds: Seconds of each step of the round, in its last run.
    """

    format: Literal["plgg-round-comparison"] = "plgg-round-comparison"
    version: Literal[1] = 1
    accepted: bool
    reason: str
    n_training: int
    n_rehearsed: int
    n_validation: int
    dice_before: float
    dice_after: float
    difference: float
    standard_error: float | None
    parts: tuple[PartComparison, ...]
    patients: tuple[PatientChange, ...]
    trained_on: tuple[CaseId, ...]
    left_out: dict[str, str] = {}
    seconds: dict[str, float] = {}


def compare_parts(patients: Sequence[PatientChange]) -> tuple[PartComparison, ...]:
    """All patients first; then each kind by itself, where there are several.

    >>> one = PatientChange(
    ...     patient_id="P1",
    ...     part="held-out",
    ...     cases=("P1",),
    ...     dice_before=0.5,
    ...     dice_after=0.75,
    ...     difference=0.25,
    ... )
    >>> [(part.part, part.n, part.difference) for part in compare_parts([one])]
    [('held-out', 1, 0.25)]
    """
    kinds = [part for part in PARTS if any(one.part == part for one in patients)]
    by_kind = [_compared(kind, [one for one in patients if one.part == kind]) for kind in kinds]
    return (_compared("all", patients), *by_kind) if len(kinds) > 1 else tuple(by_kind)


def _compared(
    part: Literal["all", "held-out", "validation"], patients: Sequence[PatientChange]
) -> PartComparison:
    differences = [one.difference for one in patients]
    error = stdev(differences) / math.sqrt(len(differences)) if len(differences) > 1 else None
    return PartComparison(
        part=part,
        n=len(patients),
        dice_before=fmean(one.dice_before for one in patients),
        dice_after=fmean(one.dice_after for one in patients),
        difference=fmean(differences),
        standard_error=error,
        margin=min(error or 0.0, MOST_MARGIN),
    )


def verdict(parts: Sequence[PartComparison]) -> tuple[bool, str]:
    """Whether a round is accepted, and why.

    No group of patients may be worse: a gain on corrected patients does not make up for forgetting
    on the others.
    """
    worse = [part for part in parts if part.is_worse]
    if worse:
        (part, *_) = worse
        return False, (
            f"The new model is worse by more than {part.margin:.3f}: {part.sentence}. "
            "The old model stays."
        )
    return True, f"The new model is not worse: {parts[0].sentence}."


def write_comparison(folder: Path, comparison: RoundComparison) -> None:
    """Write `comparison.json` atomically."""
    write_json(folder / FILE, comparison.model_dump(mode="json"))


def read_comparison(folder: Path) -> RoundComparison | None:
    """Read the comparison of a round; None where the round has not ended.

    Raises:
        RunError: If it cannot be read.
    """
    if not (folder / FILE).is_file():
        return None
    return read_record(
        folder / FILE,
        RoundComparison,
        error=RunError,
        what="cannot be read as the comparison of a round",
        remedy="Delete it and repeat the round.",
    )
