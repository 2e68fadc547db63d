"""`Result`: the prediction of one scan, as in `result.json`.

The JSON schema of this record is published as docs/result.schema.json. This file has records only
and computes nothing.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat

from plgg.config import InferenceConfig, Label
from plgg.core.case_id import CaseId, ClassNames, PatientId
from plgg.core.errors import InputError
from plgg.core.records import read_record
from plgg.data.calibration import MarkerSource
from plgg.data.quality import Quality, Verdict

Probability = Annotated[float, Field(ge=0.0, le=1.0)]
Millilitres = Annotated[float, Field(ge=0.0, le=1e9)]
Point = tuple[float, float, float]


RESEARCH_ONLY = "For research use only."


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Input(_Record):
    """The scan.

    Attributes:
        path: Its path, by which a DICOM SEG finds its source.
        kind: Its format.
        sha256: SHA-256 of its bytes.
        chosen: For DICOM, which series was chosen and why.
        sequences: Sequences that the model used; the first is the reference.
    """

    path: str
    kind: Literal["nifti", "dicom", "store"]
    sha256: str
    chosen: str | None = None
    sequences: tuple[str, ...] = ("flair",)


class Diameters(_Record):
    """The largest tumour diameters, after RAPNO (Fangusaro et al. 2020), between voxel edges.

    Attributes:
        plane: The slices' plane in which the product is largest; of thick slices, their own.
        slice_index: Native index of that slice along its axis.
        largest_mm: Longest line inside one slice.
        perpendicular_mm: Longest line across it, at a right angle, in the same slice.
        depth_mm: Extent of the tumour at a right angle to that plane.
        product_mm2: Product of the first two, the bidimensional measure.
        ends_mm: World points, RAS+: two of the largest line, two of the perpendicular.
    """

    plane: Literal["axial", "coronal", "sagittal"]
    slice_index: int
    largest_mm: NonNegativeFloat
    perpendicular_mm: NonNegativeFloat
    depth_mm: NonNegativeFloat
    product_mm2: NonNegativeFloat
    ends_mm: tuple[Point, Point, Point, Point]


class Component(_Record):
    """One connected part of the mask, largest first.

    Attributes:
        volume_ml: Its volume.
        centre_mm: Centre of mass, world RAS+.
    """

    volume_ml: Millilitres
    centre_mm: Point


class VolumeInterval(_Record):
    """Interval of the true volume at a stated level, from errors on validation patients."""

    low_ml: NonNegativeFloat
    high_ml: NonNegativeFloat
    level: Probability
    n_patients: int


class Uncertainty(_Record):
    """Uncertainty of the segmentation; the map is `uncertainty.nii.gz`, entropy in bits.

    Attributes:
        expected_dice: Dice that the mask would have if every voxel's probability were exact and
            voxels independent, faint ones outside the mask left out; None without a mask.
        n_views: Predictions that were averaged: members of an ensemble × zooms × mirror images.
        agreement: Mean Dice between pairs of their masks; None for a single one.
    """

    expected_dice: Probability | None
    n_views: int
    agreement: Probability | None


class Change(_Record):
    """Change since an earlier prediction of the same patient.

    Attributes:
        prior: Folder of the earlier prediction.
        volume_ml: Earlier volume.
        difference_ml: Current minus earlier volume.
        percent: Difference in percent of the earlier volume; None if that was 0.
        product_percent: Change of the bidimensional product; None without diameters, or where the
            planes differ.
        beyond_error: Whether the two volumes' intervals are disjoint; None without intervals.
    """

    prior: str
    volume_ml: Millilitres
    difference_ml: float
    percent: float | None
    product_percent: float | None
    beyond_error: bool | None


Response = Literal["baseline", "CR", "PR", "MR", "SD", "PD", "NE"]
"""Complete, partial and minor response, stable and progressive disease, not evaluable."""


class TimePoint(_Record):
    """One scan of a patient's timeline.

    Attributes:
        name: Name of its prediction.
        prior: Folder of its prediction; None for the scan whose result this is.
        scan_date: None where it is not known.
        days: Since the first scan.
        volume_ml: Volume of the mask.
        volume_interval: Interval of the volume in that result.
        product_mm2: Product of the diameters, in the timeline's plane; 0 without tumour, None where
            it cannot be measured in that plane.
        is_measurable: Whether both diameters are 10 mm or more.
        baseline_percent: Change of the product since the first scan.
        nadir_percent: Change of the product since the smallest one of the scans before.
        volume_percent: Change of the volume since the first scan.
        response: Response category by the product alone.
        is_confirmed: Whether later scans confirm it; None where there is nothing to confirm, or the
            dates are not known.
        confirmation: The same in words; empty where there is nothing to confirm.
        statement: Reason for the category, in a sentence.
    """

    name: str
    prior: str | None
    scan_date: date | None
    days: int | None
    volume_ml: Millilitres
    volume_interval: VolumeInterval | None
    product_mm2: float | None
    is_measurable: bool
    baseline_percent: float | None
    nadir_percent: float | None
    volume_percent: float | None
    response: Response
    is_confirmed: bool | None
    confirmation: str
    statement: str


class Timeline(_Record):
    """The scans of one patient in their order, with response categories after RAPNO.

    Attributes:
        plane: Plane of the slices in which all products were measured; None without a tumour.
        points: The scans.
        best_response: The best category of any scan.
        best_confirmed: The best category that later scans confirm.
        warnings: Differences that make the scans hard to compare.
        note: Requirements of the criteria that plgg cannot check.
    """

    criteria: str
    plane: Literal["axial", "coronal", "sagittal"] | None
    points: tuple[TimePoint, ...]
    best_response: Response | None
    best_confirmed: Response | None
    warnings: tuple[str, ...]
    note: str


class Marker(_Record):
    """Prediction of the genetic marker.

    Attributes:
        classes: In the model's order.
        probabilities: By class; calibrated if `calibrated` says so.
        predicted: The most probable class, also where it is withheld.
        calibrated: Whether the temperature was fitted on validation patients.
        withheld: Whether the answer is too uncertain, or the scan too unusual, to be relied on.
        statement: One sentence for readers.
        clinical_only: Probabilities from age, sex, tumour place and volume alone, where known.
        source: Model of the answer: the network, a forest on radiomics, or both and the clinical
            data combined.
        network: Probabilities by the network, where another model answers or there is a forest.
        radiomics: Probabilities by the forest, where there is one.
    """

    classes: ClassNames
    probabilities: dict[str, Probability]
    predicted: str
    calibrated: bool
    withheld: bool
    statement: str
    clinical_only: dict[str, Probability] | None = None
    source: MarkerSource = "network"
    network: dict[str, Probability] | None = None
    radiomics: dict[str, Probability] | None = None


class TaskAnswer(_Record):
    """Answer of an auxiliary task on one scan.

    Attributes:
        value: The number, in the column's unit; None where the kind has none.
        low: Lower end of its interval, from errors on validation patients; None without one.
        high: Upper end.
        level: Probability that the interval contains the true value.
        predicted: The predicted class; None where the kind has none.
        probabilities: Probability of each class; calibrated if `calibrated` says so.
        calibrated: Whether the uncertainty of the answer was calibrated on validation patients.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    level: Probability | None = None
    predicted: str | None = None
    probabilities: dict[str, Probability] = {}
    calibrated: bool = False


class TaskResult(TaskAnswer):
    """An answer with its task.

    Attributes:
        kind: classification, regression, or one that was registered.
        column: Column of the manifest with the training targets.
    """

    kind: str
    column: str


ThresholdRule = Literal["fixed", "expected-dice"]


class LabelResult(_Record):
    """A region of the tumour; its voxels in `labels.nii.gz` have its number or one within it.

    Attributes:
        name: Name in the settings of the training.
        number: Number in `labels.nii.gz`.
        values: Values in the training masks; regions whose values are among another's are within
            it.
        volume_ml: Volume of the region, which includes those within it.
        threshold: Probability from which a voxel is in the region.
        smallest_ml: Components below this volume were removed.
    """

    name: str
    number: int
    values: tuple[int, ...]
    volume_ml: Millilitres
    threshold: Probability
    smallest_ml: float


class Model(_Record):
    """One network of the prediction; several are an ensemble.

    Attributes:
        sha256: SHA-256 of its weights.
        calibration_sha256: SHA-256 of its calibration; None if it has none.
    """

    sha256: str
    calibration_sha256: str | None
    preset: str
    arm: str
    epoch: int
    split: int | None
    seed: int


class Result(_Record):
    """The prediction of one scan: the contents of `result.json`.

    Attributes:
        age_years: Age at the scan; None if unknown.
        sex: Sex of the patient; None if unknown.
        scan_date: Date of the scan, if the user gave it: it is never taken from a header.
        timeline: Timeline with the earlier predictions, where several were given.
        threshold: Probability from which a voxel is tumour.
        threshold_rule: Whether it is fixed, or chosen for this scan by the highest expected Dice.
        smallest_ml: Components below this volume were removed.
        models: Networks, whose probabilities are averaged.
        engine: Inference engine and its precision.
        inference: Settings of the inference.
        tasks: Answers of further tasks, by name.
        labels: Regions of the tumour, the whole of it first; empty where any value above 0 of a
            mask is it.
        radiomics: Features of the segmented tumour, by name, in the atlas' space; undefined ones
            are left out.
        familiarity: Whether the scan is similar to the training cohort; None if not known.
        quality: Verdicts on the scan and its registration.
        seconds: Wall time of each step.
        files: SHA-256 of the images as they were written: one that was altered since is not
            replaced.
        note: Note for every reader of the result, of the model too.
    """

    format: Literal["plgg-result"] = "plgg-result"
    version: Literal[2] = 2
    case_id: CaseId
    patient_id: PatientId | None
    age_years: float | None = None
    sex: str | None = None
    scan_date: date | None = None
    input: Input
    volume_ml: Millilitres
    volume_interval: VolumeInterval | None
    components: tuple[Component, ...]
    diameters: Diameters | None
    uncertainty: Uncertainty
    change: Change | None
    timeline: Timeline | None = None
    marker: Marker | None
    tasks: dict[str, TaskResult] = {}
    labels: tuple[LabelResult, ...] = ()
    radiomics: dict[str, float] = {}
    familiarity: Verdict | None
    quality: Quality | None
    threshold: Probability
    threshold_rule: ThresholdRule = "fixed"
    smallest_ml: float
    models: tuple[Model, ...]
    engine: str
    inference: InferenceConfig
    versions: dict[str, str]
    seconds: dict[str, float]
    warnings: tuple[str, ...]
    files: dict[str, str] = {}
    note: str = RESEARCH_ONLY


def labels_of(result: Result) -> tuple[Label, ...]:
    """The regions of a result as `Label` settings."""
    return tuple(Label(name=one.name, values=one.values) for one in result.labels)


def threshold_setting(result: Result) -> float | str:
    """The fixed threshold, or the name of the rule that chooses one for each scan."""
    return result.threshold if result.threshold_rule == "fixed" else result.threshold_rule


def probability_file(label: Label) -> str:
    """File name of the probability map of a region within the tumour."""
    return f"probability_{label.name}.nii.gz"


def read_result(path: Path) -> Result:
    """Read a `result.json`.

    Raises:
        InputError: If it is missing, or not a result of this version.
    """
    return read_record(
        path,
        Result,
        error=InputError,
        what="is not a result of this version of plgg",
        remedy="Predict the scan again.",
    )
