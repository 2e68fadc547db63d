"""`Calibration`: what the validation patients of a run taught about its answers.

    RUN/calibration.json

Made by `plgg.predict.calibrate`, used by `plgg.predict`. Plain records and their file.
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


# Many numbers are one line of a file, not one each: a tenth of the size.
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
        dice: Mean of the validation patients so, on their native scans; a little too good where
            the rule was chosen by them. None without masks.
        plain_dice: Theirs at 0.5 with all components.
        n: Scans that had a mask to judge by.
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
    """If only answers at least this confident were given: the share given, the share wrong."""

    threshold: float
    coverage: Fraction
    risk: Fraction


class MarkerRule(_Record):
    """How marker probabilities are scaled, and when they are withheld.

    The numbers after scaling are of the scans that it was fitted to, hence a little too good.

    Attributes:
        temperature: Logits are divided by it (Guo et al. 2017).
        target_risk: Share of wrong answers that is accepted.
        answer_from: Answers are given from this confidence; None if no threshold keeps the risk.
        coverage: Share of the validation scans that got an answer.
        risk: Share of wrong ones among these; None if there were none.
        ece_before: Expected calibration error before, and after.
        bins_before: Reliability before, and after.
        curve: Risk over coverage.
        n: Validation scans with a known marker.
        source: Who answers: the network, the forest on radiomics, or the mean of both and of the
            clinical data, combined.
        network_temperature: That of the network alone; None where it is `temperature`.
        log_loss: On the validation scans, by source; what was not compared is not there.
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
    """Multinomial logistic regression on what is known without looking at the tumour's texture.

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
        feature: Number of the input that each node asks for; -1 for a leaf.
        threshold: Inputs up to it go left.
        left: Number of the child; -1 for a leaf.
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
            # Children come later, so that no walk can go on for ever.
            children = (self.left[node], self.right[node])
            if feature >= 0 and not all(node < child < n for child in children):
                raise ValueError("its nodes are no tree")
        return self


class ForestModel(_Record):
    """A random forest on radiomics, place, age and sex.

    Attributes:
        classes: As the network's.
        inputs: Names of the features: `plgg.measure.radiomics.RADIOMICS_INPUTS`.
        means: What stands for one that is unknown.
        trees: Whose mean is the answer.
        n: Rows that it was grown on.
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
    """What scans of the training cohort look like to the network.

    Attributes:
        references: Pooled features of the training scans, one row each.
        doubtful_above: Distances beyond are unlike most of the cohort.
        failed_above: Distances beyond are unlike any of it.
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
    """What the validation patients taught of a task other than outline and marker.

    Attributes:
        kind: Of the task, which knows what the numbers mean: of a classification the `temperature`,
            of a regression the `reach` of its interval and the `level` of that.
        numbers: By name.
        n: Validation scans with a known target.
    """

    kind: str
    numbers: dict[str, float]
    n: int


class Calibration(_Record):
    """All of it; parts are None where the validation patients could not teach them.

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
    """Write it into a run's folder, whole or not at all."""
    write_json(run / FILE, calibration.model_dump(mode="json"))


def read_calibration(run: Path) -> Calibration | None:
    """That of a run; None if it was never made.

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
