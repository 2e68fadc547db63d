"""Find and read the prediction of a case, of plgg or of any other tool.

CASE/mask.nii.gz    the layout of plgg, optionally with probability.nii.gz, labels.nii.gz and
                    result.json beside it
CASE.nii.gz         the layout of most tools (or CASE.nii): a mask only
"""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from plgg.config.tasks import checked_name
from plgg.core.case_id import quoted
from plgg.core.errors import InputError
from plgg.core.files import sha256
from plgg.core.prediction_files import LABELS, MASK, PROBABILITY, RESULT
from plgg.core.records import read_record
from plgg.data.result import TaskAnswer

Probability = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
TaskName = Annotated[str, AfterValidator(checked_name)]
Millilitres = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]


@dataclass(frozen=True)
class Prediction:
    """Files of one case; None where there is no such file.

    Attributes:
        mask: The mask; it may turn out to be unreadable.
        other_mask: Another mask of the case, so that nobody knows which is meant.
    """

    mask: Path
    probability: Path | None = None
    result: Path | None = None
    labels: Path | None = None
    other_mask: Path | None = None


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

    case_id: Any = None
    files: Any = None
    marker: NamedMarker | None = None
    volume_interval: VolumeRange | None = None
    tasks: dict[TaskName, ReportedTask] = {}
    labels: Annotated[tuple[ReportedLabel, ...], Field(max_length=8)] = ()


def find_prediction(predictions: Path, case_id: str) -> Prediction | None:
    """Find the files of a case in a folder of predictions; None without a mask.

    A link that leads nowhere and a folder that may not be entered count as files: scoring them
    fails with the reason, and no case is passed over.
    """
    folder = predictions / case_id
    flat = [predictions / f"{case_id}{suffix}" for suffix in (".nii.gz", ".nii")]
    masks = [path for path in (folder / MASK, *flat) if _if_there(path)]
    if not masks:
        return None
    if masks[0] != folder / MASK:
        return Prediction(masks[0], other_mask=next(iter(masks[1:]), None))
    result = _if_there(folder / RESULT)
    return Prediction(
        masks[0],
        _if_there(folder / PROBABILITY),
        result,
        _if_there(folder / LABELS),
        # Beside a prediction of plgg, CASE.nii.gz may be the scan itself.
        None if result else next(iter(masks[1:]), None),
    )


def contradictions(said: ReportedResult, prediction: Prediction, case_id: str) -> tuple[str, ...]:
    """What a result says of its case and mask that is not so, in sentences without a full stop."""
    found = []
    if isinstance(said.case_id, str) and said.case_id != case_id:
        found.append(f"its result.json is of the case {quoted(said.case_id)}")
    hashes = said.files if isinstance(said.files, dict) else {}
    hashed = hashes.get(prediction.mask.name)
    is_hash = isinstance(hashed, str) and re.fullmatch(r"[0-9a-f]{64}", hashed)
    if is_hash and hashed != sha256(prediction.mask):
        found.append("its mask was altered, or exchanged, after it was predicted")
    return tuple(found)


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
    try:
        is_folder = stat.S_ISDIR(path.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:  # It cannot be looked at: reading it says why.
        return path
    return None if is_folder else path
