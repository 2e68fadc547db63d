"""`Calibration`: rules that are fitted to the validation patients of a run, and their file.

    RUN/calibration.json

`plgg.predict.calibrate` fits them, and `plgg.predict` applies them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    model_validator,
)

from plgg.config import Threshold
from plgg.core.case_id import ClassNames
from plgg.core.errors import RunError
from plgg.core.files import write_json
from plgg.core.records import read_record

FILE = "calibration.json"
MarkerSource = Literal["network", "radiomics", "combined"]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


def _numbers(given: Any) -> Any:  # noqa: ANN401 - what a file holds is anything
    return given.split() if isinstance(given, str) else given


def _line(values: tuple[float, ...]) -> str:
    return " ".join(str(int(value)) if value == int(value) else repr(value) for value in values)


# In JSON, a list of numbers is one string on one line, which makes the file ten times smaller.
_Written = PlainSerializer(_line, when_used="json")
Reals = Annotated[tuple[float, ...], BeforeValidator(_numbers), _Written]
Integers = Annotated[tuple[int, ...], BeforeValidator(_numbers), _Written]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class MaskRule(_Record):
    """How a probability becomes a mask.

    Attributes:
        threshold: Probability from which a voxel is tumour, or `expected-dice` of each scan.
        smallest_ml: Smaller components are removed, unless they are all there is.
        dice: Mean Dice of the validation patients with this rule, on their native scans; slightly
            optimistic where they chose the rule. None without masks.
        plain_dice: Their mean Dice at threshold 0.5 with all components.
        n: Validation scans with a true mask.
    """

    threshold: Threshold
    smallest_ml: float
    dice: float | None
    plain_dice: float | None
    n: int


class VolumeRule(_Record):
    """Split-conformal interval of the volume (Lei et al. 2018), on the logarithm.

    Attributes:
        log_ratio: True volume lies within predicted · exp(±log_ratio) with chance `level`.
        level: That chance.
        n: Validation patients with a true mask.
    """

    log_ratio: Annotated[float, Field(ge=0.0, le=100.0)]
    level: Fraction
    n: int


class Bin(_Record):
    """One bar of a reliability diagram: answers of similar confidence."""

    confidence: float
    accuracy: float
    n: int


class RiskPoint(_Record):
    """Point of a risk-coverage curve: share of scans answered, and share of wrong answers."""

    threshold: float
    coverage: Fraction
    risk: Fraction


class MarkerRule(_Record):
    """How marker probabilities are scaled, and when they are withheld.

    Metrics after scaling are of the scans that it was fitted to, hence slightly optimistic.

    Attributes:
        temperature: Logits are divided by it (Guo et al. 2017).
        target_risk: Share of wrong answers that is accepted.
        answer_from: Lowest confidence of an answer; None if no threshold meets the target risk.
        coverage: Share of the validation scans that got an answer.
        risk: Share of wrong ones among these; None if there were none.
        ece_before: Expected calibration error before, and after.
        bins_before: Reliability before, and after.
        curve: Risk over coverage.
        n: Validation scans with a known marker.
        source: Model that answers: `network`, `radiomics` (the forest), or `combined`, the mean of
            both and of the clinical model.
        network_temperature: Temperature of the network alone; None where it is `temperature`.
        log_loss: Log loss on the validation scans by source, of the sources that were compared.
    """

    temperature: Annotated[float, Field(gt=0.0)]
    target_risk: Fraction
    answer_from: Fraction | None
    coverage: Fraction
    risk: Fraction | None
    ece_before: float
    ece_after: float
    nll_before: float
    nll_after: float
    bins_before: tuple[Bin, ...]
    bins_after: tuple[Bin, ...]
    curve: tuple[RiskPoint, ...]
    n: int
    source: MarkerSource = "network"
    network_temperature: Annotated[float, Field(gt=0.0)] | None = None
    log_loss: dict[str, float] = {}


class ClinicalModel(_Record):
    """Multinomial logistic regression on age, sex, tumour place and volume, without texture.

    Attributes:
        classes: As the network's.
        inputs: Names of the columns: `plgg.measure.clinical.CLINICAL_INPUTS`.
        means: For standardising; an unknown input is set to its mean.
        scales: For standardising.
        coefficients: One row a class.
        intercepts: One a class.
        n: Training scans.
    """

    classes: ClassNames
    inputs: tuple[str, ...]
    means: tuple[float, ...]
    scales: tuple[float, ...]
    coefficients: tuple[tuple[float, ...], ...]
    intercepts: tuple[float, ...]
    n: int

    @model_validator(mode="after")
    def _fits(self) -> Self:
        sizes = {len(self.means), len(self.scales), *map(len, self.coefficients), len(self.inputs)}
        rows = {len(self.classes), len(self.coefficients), len(self.intercepts)}
        if len(sizes) > 1 or len(rows) > 1 or not all(scale > 0 for scale in self.scales):
            raise ValueError("its coefficients do not fit its inputs and classes")
        return self


class Tree(_Record):
    """A decision tree; node 0 is the root, and a node's children come after it.

    Attributes:
        feature: Index of the input that each node splits on; -1 for a leaf.
        threshold: Inputs up to it go left.
        left: Index of the child node; -1 for a leaf.
        right: Likewise.
        leaf: Probability of each class; empty for an inner node.
    """

    feature: Integers
    threshold: Reals
    left: Integers
    right: Integers
    leaf: tuple[Reals, ...]

    @model_validator(mode="after")
    def _is_a_tree(self) -> Self:
        n = len(self.feature)
        if {len(self.threshold), len(self.left), len(self.right), len(self.leaf)} != {n} or not n:
            raise ValueError("its nodes are incomplete")
        for node, feature in enumerate(self.feature):
            # Children come after their parent, so every path down the tree ends.
            children = (self.left[node], self.right[node])
            if feature >= 0 and not all(node < child < n for child in children):
                raise ValueError("its nodes are no tree")
        return self


class ForestModel(_Record):
    """A random forest on radiomics, place, age and sex.

    Attributes:
        classes: As the network's.
        inputs: Names of the features: `plgg.measure.radiomics.RADIOMICS_INPUTS`.
        means: Values that replace unknown features.
        trees: The decision trees, whose probabilities are averaged.
        n: Rows that it was trained on.
    """

    classes: ClassNames
    inputs: tuple[str, ...]
    means: tuple[float, ...]
    trees: Annotated[tuple[Tree, ...], Field(min_length=1)]
    n: int

    @model_validator(mode="after")
    def _fits(self) -> Self:
        n = len(self.inputs)
        if len(self.means) != n or any(f >= n for tree in self.trees for f in tree.feature):
            raise ValueError("its trees do not fit its inputs")
        for tree in self.trees:
            for feature, leaf in zip(tree.feature, tree.leaf, strict=True):
                if len(leaf) != (0 if feature >= 0 else len(self.classes)):
                    raise ValueError("its leaves do not fit its classes")
        return self


class TrainingDistribution(_Record):
    """Features of the training scans, and limits of the distance of a new scan to them.

    Attributes:
        references: Pooled features of the training scans, one row each.
        doubtful_above: Distance above which a scan is unlike most of the cohort.
        failed_above: Distance above which a scan is unlike any of the cohort.
    """

    references: tuple[Reals, ...]
    doubtful_above: float
    failed_above: float

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len({len(row) for row in self.references}) > 1:
            raise ValueError("its references are of several lengths")
        return self


class TaskRule(_Record):
    """Calibration of an auxiliary task, fitted to the validation patients.

    Attributes:
        kind: Kind of the task, which defines the numbers: `temperature` of a classification,
            `reach` and `level` of the interval of a regression.
        numbers: Parameters by name.
        n: Validation scans with a known target.
    """

    kind: str
    numbers: dict[str, float]
    n: int


class Calibration(_Record):
    """The contents of `calibration.json`; rules that could not be fitted are None.

    `labels` are the mask rules of regions within the tumour, by name.
    """

    format: Literal["plgg-calibration"] = "plgg-calibration"
    version: Literal[1] = 1
    model_sha256: str
    mask: MaskRule
    volume: VolumeRule | None = None
    marker: MarkerRule | None = None
    clinical: ClinicalModel | None = None
    familiarity: TrainingDistribution | None = None
    radiomics: ForestModel | None = None
    tasks: dict[str, TaskRule] = {}
    labels: dict[str, MaskRule] = {}


def write_calibration(run: Path, calibration: Calibration) -> None:
    """Write `calibration.json` into a run's folder, atomically."""
    write_json(run / FILE, calibration.model_dump(mode="json"))


def read_calibration(run: Path) -> Calibration | None:
    """Read the calibration of a run; None if there is no file.

    Raises:
        RunError: If the file cannot be read as one.
    """
    path = run / FILE
    if not path.is_file():
        return None
    return read_record(
        path,
        Calibration,
        error=RunError,
        what="cannot be read",
        remedy="Delete it and repeat plgg train.",
    )
