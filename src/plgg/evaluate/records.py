"""What an evaluation leaves: one row a case and a summary; the contents of its two files.

cases.csv      one row a case; a blank is unknown or undefined
summary.json   means with 95 % intervals over resampled patients
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """Base: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class CaseScores(Record):
    """One scan; None is unknown or undefined.

    Attributes:
        dice: Hard Dice of the masks on the native grid.
        soft_dice: Soft Dice of the probabilities; None without them.
        hd95_mm: None where only one of the masks is empty.
        surface_dice: At 2 mm.
        volume_error_ml: Predicted less true volume.
        both_empty: Neither mask has a voxel: Dice is 1 by rule.
        probabilities: Of each class; empty where no marker was named.
    """

    case_id: str
    patient_id: str
    marker: str | None
    site: str | None
    age_years: float | None
    sex: str | None
    dice: float | None = None
    soft_dice: float | None = None
    hd95_mm: float | None = None
    surface_dice: float | None = None
    n_lesions: int | None = None
    n_lesions_found: int | None = None
    n_false_lesions: int | None = None
    volume_ml: float | None = None
    predicted_volume_ml: float | None = None
    volume_error_ml: float | None = None
    both_empty: bool | None = None
    predicted_marker: str | None = None
    probabilities: dict[str, float] = {}


class Interval(Record):
    """A number with its 95 % interval over resampled patients; None where undefined.

    `n_undefined` of the resamples had no such number (a class was not drawn) and were left out.
    """

    value: float | None
    ci_low: float | None
    ci_high: float | None
    n_undefined: int = 0


class Spread(Record):
    """A metric over the cases in which it is defined; the interval is the mean's."""

    mean: float | None
    median: float | None
    std: float | None
    ci_low: float | None
    ci_high: float | None
    n: int


class Lesions(Record):
    """Lesions of all cases together."""

    n: int
    found: int
    false: int
    sensitivity: float | None
    precision: float | None


class Markers(Record):
    """How well markers were named.

    Attributes:
        classes: In the order of the model.
        n: Scans with a known marker that the model knows.
        confusion: Counts; the truth in its rows, the most probable class in its columns.
        unknown_markers: True markers that the model does not know; their scans are not scored here.
    """

    classes: tuple[str, ...]
    n: int
    auc: Interval
    auc_by_class: dict[str, float | None]
    balanced_accuracy: Interval
    f1: Interval
    brier: Interval
    confusion: tuple[tuple[int, ...], ...]
    unknown_markers: tuple[str, ...] = ()


class Summary(Record):
    """The contents of summary.json.

    Attributes:
        n_cases: Scans that were scored.
        n_patients: Patients they are of.
        n_both_empty: Scans whose Dice is 1 by rule: neither mask has a voxel.
        missing: Scans of the manifest without a prediction.
        segmentation: By metric, over the scans in which it is defined.
        lesions: Of all scans together.
        marker: None where no scan has both a known and a named marker.
    """

    format: Literal["plgg-evaluation"] = "plgg-evaluation"
    version: Literal[1] = 1
    n_cases: int
    n_patients: int
    n_both_empty: int
    missing: tuple[str, ...]
    segmentation: dict[str, Spread]
    lesions: Lesions
    marker: Markers | None


@dataclass(frozen=True)
class Evaluation:
    """An evaluation: its rows and its summary."""

    rows: tuple[CaseScores, ...]
    summary: Summary

    def summary_json(self) -> dict[str, Any]:
        """The summary as a record for JSON."""
        return self.summary.model_dump(mode="json")

    def as_rows(self) -> list[tuple[str, str, str, str]]:
        """Metric, value, interval and number of cases, as words for a table."""
        rows = [
            (name, _number(s.mean), _interval(s.ci_low, s.ci_high), str(s.n))
            for name, s in self.summary.segmentation.items()
        ]
        marker = self.summary.marker
        if marker:
            named = {
                "marker AUC": marker.auc,
                "balanced accuracy": marker.balanced_accuracy,
                "F1": marker.f1,
                "Brier": marker.brier,
            }
            rows += [
                (name, _number(i.value), _interval(i.ci_low, i.ci_high), str(marker.n))
                for name, i in named.items()
            ]
        return rows

    def headline(self) -> str:
        """Dice and AUC in one sentence."""
        dice = self.summary.segmentation["dice"]
        said = f"{self.summary.n_patients} patients: mean Dice {_number(dice.mean)} "
        said += f"({_interval(dice.ci_low, dice.ci_high)})"
        if self.summary.marker:
            auc = self.summary.marker.auc
            said += f", marker AUC {_number(auc.value)} ({_interval(auc.ci_low, auc.ci_high)})"
        return said


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _interval(low: float | None, high: float | None) -> str:
    return "-" if low is None or high is None else f"{low:.3f} to {high:.3f}"
