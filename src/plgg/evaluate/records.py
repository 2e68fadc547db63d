"""`CaseScores` and `Summary`: the records of cases.csv, summary.json and subgroups.csv.

A plain record: nothing is computed here.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from plgg.core.case_id import CaseId, PatientId
from plgg.core.estimate import Estimate
from plgg.data.calibration import Bin, RiskPoint
from plgg.data.result import TaskAnswer

Side = Literal["left", "right", "midline"]
Region = Literal["supratentorial", "infratentorial"]


class Record(BaseModel):
    """Base: frozen; unknown keys, infinity and NaN are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class TaskScores(TaskAnswer):
    """The answer of an auxiliary task for one scan, and its truth.

    Attributes:
        kind: Of the task; empty where the table alone is read.
        truth: As the manifest writes it; None where unknown.
        scores: Of this scan; their means over scans are metrics.
    """

    kind: str = ""
    truth: str | None = None
    scores: dict[str, float] = Field(default_factory=dict)


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
        volume_interval_level: The nominal coverage of that interval.
        withheld: Whether the predicted marker was withheld as uncertain.
        probabilities: Of each class; empty where no marker was predicted.
        clinical: Of each class from clinical data alone; empty where there are none.
        network: By the network alone, where a forest on radiomics is beside it; else empty.
        radiomics: By that forest.
        tasks: Of each further task, by name.
        metrics: Registered metrics of the mask, by name; undefined ones are left out.
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
    network: dict[str, float] = {}
    radiomics: dict[str, float] = {}
    tasks: dict[str, TaskScores] = {}
    metrics: dict[str, float] = {}


VERSION: Literal[2] = 2


class _EstimateRecord(Record):
    """An `Estimate` as it stands in summary.json."""

    value: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    n_undefined: int = 0


def _read(found: object) -> Estimate:
    if isinstance(found, Estimate):
        return found
    written = _EstimateRecord.model_validate(found)
    ends = written.ci_low, written.ci_high
    return Estimate(written.value, *ends, n_undefined=written.n_undefined)


def _write(found: Estimate) -> dict[str, float | None]:
    ends = {"ci_low": found.low, "ci_high": found.high}
    return {"value": found.value, **ends, "n_undefined": found.n_undefined}


Interval = Annotated[Estimate, BeforeValidator(_read), PlainSerializer(_write)]
"""An estimate with an interval by bootstrap over patients, unless stated otherwise."""


class Spread(Record):
    """A metric over the cases in which it is defined; `ci_low` to `ci_high` is of the mean."""

    mean: float | None
    median: float | None
    std: float | None
    ci_low: float | None
    ci_high: float | None
    n: int
    median_ci_low: float | None = None
    median_ci_high: float | None = None

    @property
    def of_mean(self) -> Estimate:
        """The mean with its interval."""
        return Estimate(self.mean, self.ci_low, self.ci_high, self.n)

    @property
    def of_median(self) -> Estimate:
        """The median with its interval."""
        return Estimate(self.median, self.median_ci_low, self.median_ci_high, self.n)


class Lesions(Record):
    """Lesions of all cases together."""

    n: int
    found: int
    false: int
    sensitivity: float | None
    precision: float | None
    sensitivity_ci_low: float | None = None
    sensitivity_ci_high: float | None = None
    precision_ci_low: float | None = None
    precision_ci_high: float | None = None

    @property
    def of_sensitivity(self) -> Estimate:
        """Share of the lesions that were detected."""
        ends = self.sensitivity_ci_low, self.sensitivity_ci_high
        return Estimate(self.sensitivity, *ends, self.n)

    @property
    def of_precision(self) -> Estimate:
        """Found lesions over found lesions and false parts."""
        ends = self.precision_ci_low, self.precision_ci_high
        return Estimate(self.precision, *ends, self.found + self.false)


class Limits(Record):
    """Agreement of predicted and true volume, Bland and Altman; intervals by t, not resampled.

    Attributes:
        n: Scans.
        bias: Mean difference, predicted less true.
        sd: Standard deviation of the differences.
        lower: Lower limit of agreement, bias - 1.96 sd.
        upper: Upper limit.
        slope: Change of the difference with the mean of both volumes; None for too few scans.
    """

    n: int
    bias: Interval
    sd: float
    lower: Interval
    upper: Interval
    slope: Interval | None


class Volumes(Record):
    """Agreement of predicted and true volumes, and coverage of the volume intervals.

    Attributes:
        difference_ml: Agreement in mL; None for fewer than three patients.
        log_ratio: Agreement of the logarithms: bias 0.1 is a ratio of e^0.1, 10.5 % too much;
            of the scans in which both volumes are above 0.
        n_without_ratio: Scans in which one of the volumes is 0.
        coverage: Share of true volumes inside their predicted interval; None without intervals.
        coverage_level: Nominal coverage; None where scans differ in it, or none has an interval.
        n_with_interval: Scans with an interval and a truth.
    """

    difference_ml: Limits | None
    log_ratio: Limits | None
    n_without_ratio: int
    coverage: Interval | None
    coverage_level: float | None
    n_with_interval: int


class Reliability(Record):
    """Calibration of the probability of the predicted class.

    Attributes:
        ece: Expected calibration error, in [0, 1].
        bins: Bins of confidence, with mean confidence, accuracy and number of scans.
        curve: Risk–coverage curve: error rate if only the most confident answers were given.
    """

    ece: Interval
    bins: tuple[Bin, ...]
    curve: tuple[RiskPoint, ...]


class Abstention(Record):
    """The effect of withholding uncertain answers.

    Attributes:
        n: Scans of which it is known whether the answer was withheld.
        n_withheld: Scans whose answer was withheld.
        share: Share of withheld answers.
        accuracy: Accuracy of the answers that were given.
        accuracy_withheld: Accuracy that the withheld answers would have had.
    """

    n: int
    n_withheld: int
    share: Interval
    accuracy: Interval
    accuracy_withheld: Interval


class Baseline(Record):
    """AUC of another source of the marker, such as clinical data, beside that of the answer.

    Attributes:
        n: Scans with both.
        auc: Macro AUC of the other source.
        network_auc: Macro AUC of the answer.
        difference: Answer less the other, paired by patient.
    """

    n: int
    auc: Interval
    network_auc: Interval
    difference: Interval


class Markers(Record):
    """The scores of the predicted markers.

    Attributes:
        classes: In the order of the model.
        n: Scans with a known marker that the model knows.
        auc_by_class: AUC of each class against the rest.
        accuracy: Share of scans whose most probable class is the true one.
        confusion: Counts; the truth in its rows, the most probable class in its columns.
        unknown_markers: True markers that the model does not know; their scans are not scored here.
        reliability: None without scans.
        abstention: None where nothing says whether answers were withheld.
        clinical: None where no scan has clinical probabilities.
        network: The network alone; None where nothing is beside it.
        radiomics: The forest on radiomics; None where there is none.
    """

    classes: tuple[str, ...]
    n: int
    auc: Interval
    auc_by_class: dict[str, Interval]
    balanced_accuracy: Interval
    f1: Interval
    brier: Interval
    confusion: tuple[tuple[int, ...], ...]
    unknown_markers: tuple[str, ...] = ()
    accuracy: Interval | None = None
    reliability: Reliability | None = None
    abstention: Abstention | None = None
    clinical: Baseline | None = None
    network: Baseline | None = None
    radiomics: Baseline | None = None


class TaskSummary(Record):
    """The metrics of an auxiliary task.

    Attributes:
        kind: Kind of the task.
        n: Scans whose target is known.
        metrics: By name.
        lower_is_better: The metrics of which lower values are better.
    """

    kind: str
    n: int
    metrics: dict[str, Interval]
    lower_is_better: tuple[str, ...] = ()


class Subgroup(Record):
    """The scans that share a trait.

    Attributes:
        group: The trait, such as `age`.
        level: Its value, such as `3 to 5 years`.
        metrics: Empty for fewer than three patients.
    """

    group: str
    level: str
    n_patients: int
    n_scans: int
    metrics: dict[str, Spread]


class FailedScore(Record):
    """A scan that has a prediction but could not be scored, and why."""

    case_id: CaseId
    reason: str


class Summary(Record):
    """The contents of summary.json; version 1 had neither volumes nor subgroups.

    Attributes:
        n_cases: Scans that were scored.
        n_patients: Patients they are of.
        n_both_empty: Scans whose Dice is 1 by rule: neither mask has a voxel.
        missing: Scans of the manifest without a prediction.
        failed: Scans whose truth or prediction cannot be used; they are in no number.
        segmentation: By metric, over the scans in which it is defined.
        lesions: Of all scans together.
        marker: None where no scan has both a true and a predicted marker.
        volumes: None where no scan has a true mask.
        tasks: Auxiliary tasks and labels of the mask, by name.
        subgroups: By trait.
    """

    format: Literal["plgg-evaluation"] = "plgg-evaluation"
    version: Literal[2] = VERSION
    n_cases: int
    n_patients: int
    n_both_empty: int
    missing: tuple[str, ...]
    failed: tuple[FailedScore, ...] = ()
    segmentation: dict[str, Spread]
    lesions: Lesions
    marker: Markers | None
    volumes: Volumes | None = None
    tasks: dict[str, TaskSummary] = {}
    subgroups: tuple[Subgroup, ...] = ()
