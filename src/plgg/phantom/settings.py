"""The settings of a synthetic cohort, and random streams by patient and purpose."""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from plgg.core.errors import ConfigError

Marker = Literal["BRAF_fusion", "BRAF_V600E", "other"]
Population = Literal["child", "adult"]
Share = Annotated[float, Field(ge=0.0, le=1.0)]

CLASSES: tuple[Marker, ...] = ("BRAF_fusion", "BRAF_V600E", "other")


class PhantomSettings(BaseModel):
    """Settings of a synthetic cohort.

    Attributes:
        n_patients: How many patients.
        seed: Same seed, same cohort. Patient k is the same in a larger cohort, but for its marker.
        missing_masks: Share of scans without a mask; no mask file is written for them.
        missing_markers: Share of patients whose marker is left blank.
        second_scans: Share of patients with a follow-up, in which the tumour has grown.
        spacing_mm: Size of the scanner's voxels. Who the patients are and where their tumours lie
            does not depend on it.
        slice_thickness_mm: Thickness of axial slices; the nearest one that divides the field of
            view is used. None leaves voxels as they are. At least `spacing_mm`.
        population: `child` or `adult`: places, sizes, ages, sites and contrast differ.
        link: How strongly the marker determines place and appearance. At 0 they are drawn without
            looking at the marker; the age still depends on it.
        halos: Share of tumours with a bright halo. Around what looks like a fusion it is oedema and
            left out of the mask, around the others infiltration and part of it; halos of both kinds
            look alike, so that only the marker tells whether a halo is part of the mask.
        halo_width: Middle of the halos' widths, relative to the tumour's radius.
        elsewhere: Share of patients whose marker shows away from the tumour alone, in dark spots
            of deep grey matter. Location and appearance of their tumours do not depend on it, and a
                halo is oedema where the spots, or their absence, are those of a fusion.
        spot_width: How wide those spots are, relative to what is usual.
        sequences: MR sequences of each scan, the FLAIR among them. The others are moved against
            it by up to 3 mm and 3°, as heads are between two sequences.
        label_cysts: Whether masks hold 2 where a tumour is cyst; elsewhere in it they hold 1.
        contrast: How bright tumours and halos are above grey matter, relative to what is usual.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_patients: int = Field(default=24, ge=1, le=100_000)
    seed: int = Field(default=0, ge=0, lt=2**63)
    missing_masks: Share = 0.0
    missing_markers: Share = 0.0
    second_scans: Share = 0.0
    spacing_mm: float = Field(default=1.0, ge=1.0, le=4.0, allow_inf_nan=False)
    slice_thickness_mm: float | None = Field(default=None, ge=1.0, le=10.0)
    population: Population = "child"
    link: Share = 1.0
    halos: Share = 0.0
    halo_width: float = Field(default=0.45, ge=0.1, le=1.5)
    elsewhere: Share = 0.0
    spot_width: float = Field(default=1.0, ge=0.5, le=3.0)
    sequences: tuple[Literal["flair", "t1", "t1c", "t2"], ...] = ("flair",)
    contrast: float = Field(default=1.0, ge=0.1, le=5.0)
    label_cysts: bool = False

    @model_validator(mode="after")
    def _slices_hold_a_voxel(self) -> Self:
        if self.slice_thickness_mm is not None and self.slice_thickness_mm < self.spacing_mm:
            raise ValueError("slice_thickness_mm must be spacing_mm or more")
        if "flair" not in self.sequences or len(set(self.sequences)) < len(self.sequences):
            raise ValueError("sequences must name flair, and none twice")
        return self


def phantom_settings(**values: object) -> PhantomSettings:
    """Make settings from keywords; an error names the first that is not valid.

    Raises:
        ConfigError: If a key is unknown or a value out of range.
    """
    try:
        return PhantomSettings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        told = f"{key}: {first['msg']}" if key else first["msg"].removeprefix("Value error, ")
        known = ", ".join(PhantomSettings.model_fields)
        raise ConfigError(
            told, where="phantom settings", remedy=f"The settings are {known}."
        ) from error


class Stream(IntEnum):
    """Purposes of random numbers; with other values, the same seed would give another cohort."""

    CLASSES = 0
    FOLLOW_UP = 1
    MISSING_MASKS = 2
    MISSING_MARKERS = 3
    PERSON = 10
    SITE = 11
    HEAD = 12
    TUMOUR = 13
    TUMOUR_SHAPE = 14
    CONTRAST = 15
    DECOYS = 16
    SCAN = 17
    SPOTS = 18
    SEQUENCES = 19


def cohort_stream(seed: int, purpose: Stream) -> np.random.Generator:
    """The generator of one decision about the whole cohort."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(int(purpose),)))


def patient_stream(seed: int, patient: int, purpose: Stream, scan: int = 0) -> np.random.Generator:
    """The generator of one purpose of one patient, and of one scan where that matters."""
    key = (patient, int(purpose), scan)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
