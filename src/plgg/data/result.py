"""`Result`: what is said of one scan; the contents of `result.json`.

The JSON schema of this record is published as docs/result.schema.json. Plain records: nothing is
computed here, and nothing of networks is known.
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
        path: Where it lay; the link by which a DICOM SEG finds its source.
        kind: What was read.
        sha256: Of its bytes.
        chosen: Of DICOM, which series was taken and why.
        sequences: That the model was given; the first is the reference.
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
        product_mm2: Of the first two, the bidimensional measure.
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
    """Where the true volume lies with a stated chance, judged by errors on validation patients."""

    low_ml: NonNegativeFloat
    high_ml: NonNegativeFloat
    level: Probability
    n_patients: int


class Uncertainty(_Record):
    """How sure the outline is; the map is `uncertainty.nii.gz`, entropy in bits.

    Attributes:
        expected_dice: Dice that the mask would have if every voxel's probability were exact and
            voxels independent, faint ones outside the mask left out; None without a mask.
        n_views: Answers that were averaged: members of an ensemble times sizes times mirror images.
        agreement: Mean Dice between pairs of these answers' masks; None for a single one.
    """

    expected_dice: Probability | None
    n_views: int
    agreement: Probability | None


class Change(_Record):
    """Against an earlier prediction of the same patient.

    Attributes:
        prior: Its folder.
        volume_ml: Then.
        difference_ml: Now less then.
        percent: Of the volume then; None if that was 0.
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
        name: Of its prediction.
        prior: Folder of its prediction; None for the scan whose result this is.
        scan_date: None where it is not known.
        days: Since the first scan.
        volume_ml: Of the mask.
        volume_interval: As that result has it.
        product_mm2: Of the diameters, in the timeline's plane; 0 without tumour, None where it
            cannot be measured in that plane.
        is_measurable: Whether both diameters are 10 mm or more.
        baseline_percent: Change of the product since the first scan.
        nadir_percent: Since the smallest product of the scans before.
        volume_percent: Change of the volume since the first scan.
        response: By the product alone.
        is_confirmed: Whether later scans bear it out; None where there is nothing to confirm, or
            the dates are not known.
        confirmation: That in words; empty where there is nothing to confirm.
        statement: What the category rests on, in a sentence.
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
        plane: Of the slices in which all products were measured; None without a tumour.
        points: The scans.
        best_response: The best category of any scan.
        best_confirmed: The best that later scans bear out.
        warnings: What makes the scans hard to compare.
        note: What the criteria ask for and plgg does not know.
    """

    criteria: str
    plane: Literal["axial", "coronal", "sagittal"] | None
    points: tuple[TimePoint, ...]
    best_response: Response | None
    best_confirmed: Response | None
    warnings: tuple[str, ...]
    note: str


class Marker(_Record):
    """What the model says of the genetic marker.

    Attributes:
        classes: In the model's order.
        probabilities: By class; calibrated if `calibrated` says so.
        predicted: The most probable class, also where it is withheld.
        calibrated: Whether the temperature was fitted on validation patients.
        withheld: Whether the answer is too unsure, or the scan too strange, to be relied on.
        statement: One sentence for people.
        clinical_only: Probabilities from age, sex, tumour place and volume alone, where known.
        source: Whose answer it is: the network's, that of a forest on radiomics, or of both and
            the clinical data combined.
        network: Probabilities by the network, where another answers or there is a forest.
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
    """What is said of one scan by a task beside outline and marker.

    Attributes:
        value: The number, in the column's unit; None where the kind has none.
        low: Lower end of its interval, judged by errors on validation patients; None without.
        high: Upper end.
        level: The chance with which the interval holds the truth.
        predicted: The class that is named; None where the kind has none.
        probabilities: Of each class; calibrated if `calibrated` says so.
        calibrated: Whether validation patients taught how sure the answer is.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    level: Probability | None = None
    predicted: str | None = None
    probabilities: dict[str, Probability] = {}
    calibrated: bool = False


class TaskResult(TaskAnswer):
    """An answer, and what it is an answer to.

    Attributes:
        kind: classification, regression, or one that was registered.
        column: Of the manifest that it was learned from.
    """

    kind: str
    column: str


ThresholdRule = Literal["fixed", "expected-dice"]


class LabelResult(_Record):
    """A region of the tumour; its voxels in `labels.nii.gz` bear its number or one within it.

    Attributes:
        name: As the settings of the training name it.
        number: In `labels.nii.gz`.
        values: That the training masks hold there; regions whose values are among another's lie
            within it.
        volume_ml: Of the region, those within it included.
        threshold: Probability from which a voxel is of the region.
        smallest_ml: Components below were removed.
    """

    name: str
    number: int
    values: tuple[int, ...]
    volume_ml: Millilitres
    threshold: Probability
    smallest_ml: float


class Model(_Record):
    """One network that answered; several are an ensemble.

    Attributes:
        sha256: Of its weights.
        calibration_sha256: Of its calibration; None if it has none.
    """

    sha256: str
    calibration_sha256: str | None
    preset: str
    arm: str
    epoch: int
    split: int | None
    seed: int


class Result(_Record):
    """All of it.

    Attributes:
        age_years: At the scan, where it was given.
        sex: Where it was given.
        scan_date: Of the scan, where it was given: it is never taken from a header.
        timeline: With the earlier predictions, where several were given.
        threshold: Probability from which a voxel is tumour.
        threshold_rule: Whether it is fixed, or this scan's own, where the expected Dice is highest.
        smallest_ml: Components below were removed.
        models: Who answered; probabilities are the mean of theirs.
        engine: What ran them, and in which precision.
        inference: The settings.
        tasks: What is said of further tasks, by name.
        labels: Regions of the tumour, the whole of it first; empty where any value above 0 of a
            mask is it.
        radiomics: Features of the outlined tumour, by name, in the atlas' space; what cannot be
            told is not there.
        familiarity: Whether the scan is like those of the training cohort; None if not known.
        quality: Verdicts on the scan and its registration.
        seconds: Wall time of each step.
        files: SHA-256 of the images as they were written: one that was altered since is not
            replaced.
        note: What everyone who reads it must know, of the model too.
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
    """The regions of a result as settings."""
    return tuple(Label(name=one.name, values=one.values) for one in result.labels)


def threshold_setting(result: Result) -> float | str:
    """The threshold where it was fixed, else the rule that each scan's is chosen by."""
    return result.threshold if result.threshold_rule == "fixed" else result.threshold_rule


def probability_file(label: Label) -> str:
    """Name of the file with the probability of a region within the tumour."""
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
