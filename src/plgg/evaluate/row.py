"""`CaseScores`: what an evaluation knows of one scan, a row of cases.csv.

A plain record: nothing is computed here.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from plgg.io.case_id import CaseId, PatientId

Side = Literal["left", "right", "midline"]
Region = Literal["supratentorial", "infratentorial"]


class Record(BaseModel):
    """Base: frozen; unknown keys, infinity and NaN are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class CaseScores(Record):
    """One scan; None is unknown or undefined.

    Attributes:
        side: Where the true tumour's centre is; None where the scan is not registered to an atlas.
        region: Likewise, above or below the tentorium.
        dice: Hard Dice of the masks on the native grid.
        soft_dice: Soft Dice of the probabilities; None without them.
        hd95_mm: None where only one of the masks is empty.
        surface_dice: At 2 mm.
        volume_error_ml: Predicted less true volume.
        both_empty: Neither mask has a voxel: Dice is 1 by rule.
        volume_low_ml: Lower end of the interval that was predicted for the volume.
        volume_high_ml: Upper end.
        volume_interval_level: The chance with which it was said to hold the true volume.
        withheld: Whether the named marker was said not to be relied on.
        probabilities: Of each class; empty where no marker was named.
        clinical: Of each class from clinical data alone; empty where there are none.
    """

    case_id: CaseId
    patient_id: PatientId
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
    side: Side | None = None
    region: Region | None = None
    volume_low_ml: float | None = None
    volume_high_ml: float | None = None
    volume_interval_level: float | None = None
    withheld: bool | None = None
    predicted_marker: str | None = None
    probabilities: dict[str, float] = {}
    clinical: dict[str, float] = {}
