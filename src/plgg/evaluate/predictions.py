"""Find and read the prediction of a case, of plgg or of any other tool.

CASE/mask.nii.gz    the layout of plgg, optionally with probability.nii.gz, labels.nii.gz and
                    result.json beside it
CASE.nii.gz         the layout of most tools (or CASE.nii): a mask only
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from plgg.config.tasks import checked_name
from plgg.core.errors import InputError
from plgg.core.prediction_files import LABELS, MASK, PROBABILITY, RESULT
from plgg.core.records import read_record
from plgg.data.result import TaskAnswer

Probability = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
TaskName = Annotated[str, AfterValidator(checked_name)]
Millilitres = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]


@dataclass(frozen=True)
class Prediction:
    """Files of one case; None where there is no such file."""

    mask: Path
    probability: Path | None = None
    result: Path | None = None
    labels: Path | None = None


class NamedMarker(BaseModel):
    """The marker of a result; empty where the model predicts none.

    Attributes:
        probabilities: By class, in the order of the model.
        predicted: The predicted class.
        withheld: Whether the answer was withheld as uncertain; None where unknown.
        clinical_only: Probabilities from clinical data alone; None where there are none.
        network: Those of the network, where there is a forest or the answer is another's.
        radiomics: Those of the forest on radiomics; None without one.
    """

    model_config = ConfigDict(frozen=True)

    probabilities: dict[str, Probability] = {}
    predicted: str | None = None
    withheld: bool | None = None
    clinical_only: dict[str, Probability] | None = None
    network: dict[str, Probability] | None = None
    radiomics: dict[str, Probability] | None = None


class VolumeRange(BaseModel):
    """The predicted interval of the true volume, and its level."""

    model_config = ConfigDict(frozen=True)

    low_ml: Millilitres
    high_ml: Millilitres
    level: Probability


class ReportedTask(TaskAnswer):
    """The answer of an auxiliary task.

    Attributes:
        kind: Kind of the task.
        column: Column of the manifest with the true values; None for the task's name.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    kind: str = ""
    column: str | None = None


class ReportedLabel(BaseModel):
    """A label of a result, as in the settings."""

    model_config = ConfigDict(frozen=True)

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,47}$")]
    values: Annotated[tuple[Annotated[int, Field(ge=1, le=65535)], ...], Field(min_length=1)]


class ReportedResult(BaseModel):
    """The fields of a result.json that are scored, of plgg or of another tool; all optional."""

    model_config = ConfigDict(frozen=True)

    marker: NamedMarker | None = None
    volume_interval: VolumeRange | None = None
    tasks: dict[TaskName, ReportedTask] = {}
    labels: Annotated[tuple[ReportedLabel, ...], Field(max_length=8)] = ()


def find_prediction(predictions: Path, case_id: str) -> Prediction | None:
    """Find the files of a case in a folder of predictions; None without a mask."""
    folder = predictions / case_id
    if (folder / MASK).is_file():
        return Prediction(
            folder / MASK,
            _if_there(folder / PROBABILITY),
            _if_there(folder / RESULT),
            _if_there(folder / LABELS),
        )
    flat = _if_there(predictions / f"{case_id}.nii.gz") or _if_there(predictions / f"{case_id}.nii")
    return Prediction(flat) if flat else None


def read_reported(path: Path) -> ReportedResult:
    """Read the scored fields of a result.json.

    Raises:
        InputError: If it cannot be read, or a probability is outside [0, 1].
    """
    return read_record(
        path,
        ReportedResult,
        error=InputError,
        what="is not a result with a marker's probabilities",
        remedy="Predict this case again, or delete the file to score its mask alone.",
    )


def _if_there(path: Path) -> Path | None:
    return path if path.is_file() else None
