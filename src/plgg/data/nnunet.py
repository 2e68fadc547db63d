"""What plgg writes into a data set for nnU-Net, so that what was trained on it can be used again.

OUT/DatasetNNN_NAME/imagesTr/CASE_0000.nii.gz    one a channel; uint8, 0 is outside the brain
OUT/DatasetNNN_NAME/labelsTr/CASE.nii.gz         1 is tumour
OUT/DatasetNNN_NAME/dataset.json                 `NnunetExport` under the key `plgg`, too: nnU-Net
                                                 copies it beside its results
OUT/DatasetNNN_NAME/splits_final.json            train and val of each split
OUT/DatasetNNN_NAME/splits_test.json             the test patients, who are in neither
OUT/DatasetNNN_NAME/cases.csv                    patient, marker, age, sex, site
OUT/DatasetNNN_NAME/plgg.json                    `NnunetExport`, with the SHA-256 of each file
OUT/nnUNet_preprocessed/DatasetNNN_NAME/splits_final.json    where nnU-Net looks for it
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt

from plgg.config import GridConfig, PreprocessConfig
from plgg.config.base import Sequence
from plgg.core.case_id import CaseId
from plgg.core.errors import RunError
from plgg.core.folders import FolderKind
from plgg.core.paths import RelativePath
from plgg.core.records import JsonError, as_record, read_json
from plgg.data.split import Split

FORMAT = "plgg-nnunet"
KEY = "plgg"
RECORD = "plgg.json"
DATASET = "dataset.json"
PLANS = "plans.json"
CHECKPOINT = "checkpoint_final.pth"
FOLD = "fold_"
PREPROCESSED = "nnUNet_preprocessed"
SPLITS = "splits_final.json"
TESTS = "splits_test.json"
CASES = "cases.csv"
NNUNET_DATASET = FolderKind(
    "nnU-Net data set",
    ("imagesTr/*.nii.gz", "labelsTr/*.nii.gz", DATASET, SPLITS, TESTS, CASES, RECORD),
    RECORD,
    format=FORMAT,
    hashes="files",
)


class NnunetExport(BaseModel):
    """How the scans of a data set were prepared, and which were kept apart for tests.

    Attributes:
        channels: Sequences, in the order of nnU-Net's channels.
        grid: Of the store; a scan to be predicted is brought to the same.
        preprocess: Likewise; the atlas counts by its hash.
        splits: plgg's, over the cases with a mask; nnU-Net's fold K is the split at place K.
        folds: Whether they are the folds of a cross validation.
        seed: That they were drawn with.
        left_out: Cases without a mask.
        files: SHA-256 of each file by its path; only in `plgg.json`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format: Literal["plgg-nnunet"] = "plgg-nnunet"
    version: Literal[1] = 1
    channels: Annotated[tuple[Sequence, ...], Field(min_length=1, max_length=7)]
    grid: GridConfig
    preprocess: PreprocessConfig
    splits: Annotated[tuple[Split, ...], Field(max_length=1000)]
    folds: bool = False
    seed: NonNegativeInt = 0
    left_out: tuple[CaseId, ...] = ()
    files: dict[RelativePath, str] = {}


def results_folder(path: Path) -> Path | None:
    """The folder of trained results that a path means, itself or one of its folds; None if none.

    Example:
        >>> results_folder(Path("nowhere")) is None
        True
    """
    places = [path, path.parent] if path.name.startswith(FOLD) else [path]
    for folder in places:
        if (folder / PLANS).is_file() and (folder / DATASET).is_file():
            return folder
    return None


def fold_number(fold: Path) -> int | None:
    """The number of a fold's folder; None of `fold_all`."""
    number = fold.name.removeprefix(FOLD)
    return int(number) if number.isascii() and number.isdigit() and len(number) < 4 else None


def read_nnunet_export(results: Path) -> NnunetExport | None:
    """How the scans were prepared that a trained nnU-Net learned from; None if plgg does not know.

    It is asked of `plgg.json` in the folder, else of what nnU-Net copied there with `dataset.json`.

    Raises:
        RunError: If it is said, but not as this version says it.
    """
    own = results / RECORD
    path, inner = (own, None) if own.is_file() else (results / DATASET, KEY)
    try:
        raw = read_json(path)
        if inner is not None:
            raw = raw.get(inner) if isinstance(raw, dict) else None
        return None if raw is None else as_record(raw, NnunetExport)
    except JsonError as fault:
        raise RunError(
            f"does not say how its scans were prepared ({fault.fault})",
            where=path,
            remedy="Copy it from the data set again, or make that anew: plgg export nnunet.",
        ) from fault


def part_of_fold(fold: Path, part: str) -> tuple[str, ...]:
    """The cases of one part of the split that a fold was trained on.

    Raises:
        RunError: If the folder is no single fold, or its splits are not known.
        ConfigError: If there is no such part.
    """
    results = results_folder(fold)
    number = fold_number(fold)
    if results is None or results == fold or number is None:
        raise RunError(
            "has several folds, each with test patients of its own",
            where=fold,
            remedy="Name one of them: --model FOLDER/fold_0.",
        )
    export = read_nnunet_export(results)
    if export is None or number >= len(export.splits):
        raise RunError(
            "does not say which patients it was to be tested on",
            where=fold,
            remedy="Leave --part out, and name the test patients in a manifest.",
        )
    return export.splits[number].part(part)
