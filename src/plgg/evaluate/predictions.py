"""What was predicted of a case, by plgg or by any tool.

CASE/mask.nii.gz    as plgg writes it, with probability.nii.gz, labels.nii.gz and result.json beside
                    it or not
CASE.nii.gz         as most tools do (or CASE.nii): a mask and no more
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
    """The marker of a result; empty where the model names none.

    Attributes:
        probabilities: By class, in the order of the model.
        predicted: The class that was named.
        withheld: Whether it was said not to be relied on; None where nothing says so.
        clinical_only: Probabilities from clinical data alone; None where there are none.
        network: Those of the network alone, where others had a say or could have had.
        radiomics: Those of the forest on radiomics, likewise.
    """

    model_config = ConfigDict(frozen=True)

    probabilities: dict[str, Probability] = {}
    predicted: str | None = None
    withheld: bool | None = None
    clinical_only: dict[str, Probability] | None = None
    network: dict[str, Probability] | None = None
    radiomics: dict[str, Probability] | None = None


class VolumeRange(BaseModel):
    """Where a result says that the true volume lies, and with which chance."""

    model_config = ConfigDict(frozen=True)

    low_ml: Millilitres
    high_ml: Millilitres
    level: Probability


class ReportedTask(TaskAnswer):
    """The answer of a task beside outline and marker.

    Attributes:
        kind: Of the task.
        column: Of the manifest that holds its truth; None is the task's name.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    kind: str = ""
    column: str | None = None


class ReportedLabel(BaseModel):
    """A region that a result names: as the settings have it."""

    model_config = ConfigDict(frozen=True)

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,47}$")]
    values: Annotated[tuple[Annotated[int, Field(ge=1, le=65535)], ...], Field(min_length=1)]


class ReportedResult(BaseModel):
    """What is scored of a result.json, of plgg or of another tool; all of it may be absent."""

    model_config = ConfigDict(frozen=True)

    marker: NamedMarker | None = None
    volume_interval: VolumeRange | None = None
    tasks: dict[TaskName, ReportedTask] = {}
    labels: Annotated[tuple[ReportedLabel, ...], Field(max_length=8)] = ()


def find_prediction(predictions: Path, case_id: str) -> Prediction | None:
    """What a folder of predictions holds of a case; None where it has no mask of it."""
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
    """The scored parts of a result.json.

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
