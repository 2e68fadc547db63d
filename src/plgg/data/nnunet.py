"""Files of an exported nnU-Net data set, and the record to predict with nnU-Nets trained on it.

OUT/DatasetNNN_NAME/imagesTr/CASE_0000.nii.gz    one a channel; uint8, 0 is outside the brain
OUT/DatasetNNN_NAME/labelsTr/CASE.nii.gz         1 is tumour; of a store with labels the number
                                                 of the innermost one, as in its `labels.b2nd`
OUT/DatasetNNN_NAME/dataset.json                 `NnunetExport` under the key `plgg`, too: nnU-Net
                                                 copies it beside its results
OUT/DatasetNNN_NAME/splits_final.json            train and val of each split
OUT/DatasetNNN_NAME/splits_test.json             the test patients, who are in neither
OUT/DatasetNNN_NAME/cases.csv                    patient, marker, age, sex, site
OUT/DatasetNNN_NAME/plgg.json                    `NnunetExport`, with the SHA-256 of each file
OUT/nnUNet_preprocessed/DatasetNNN_NAME/splits_final.json    where nnU-Net looks for it
"""

from __future__ import annotations

from collections.abc import Sequence as SequenceOf
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
)

from plgg.config import GridConfig, PreprocessConfig
from plgg.config.base import Sequence
from plgg.config.labels import Label, Labels, require_label_rules, within
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
    """Preprocessing, labels and splits of an exported data set.

    Attributes:
        channels: Sequences, in the order of nnU-Net's channels.
        labels: Regions of the mask, in the order of the outputs; empty for the tumour alone.
        grid: Grid of the store, which scans are also resampled to for prediction.
        preprocess: Preprocessing settings, likewise; the atlas is identified by its hash.
        splits: plgg's splits of the cases with a mask; split K is nnU-Net's fold K.
        folds: Whether they are the folds of a cross validation.
        seed: Seed of the splits.
        left_out: Cases without a mask, or with one that does not annotate all labels.
        files: SHA-256 of each file by its path; only in `plgg.json`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format: Literal["plgg-nnunet"] = "plgg-nnunet"
    version: Literal[1] = 1
    channels: Annotated[tuple[Sequence, ...], Field(min_length=1, max_length=7)]
    labels: Labels = ()
    grid: GridConfig
    preprocess: PreprocessConfig
    splits: Annotated[tuple[Split, ...], Field(max_length=1000)]
    folds: bool = False
    seed: NonNegativeInt = 0
    left_out: tuple[CaseId, ...] = ()
    files: dict[RelativePath, str] = {}

    @field_validator("labels")
    @classmethod
    def _nest(cls, labels: tuple[Label, ...]) -> tuple[Label, ...]:
        require_label_rules(labels)
        return labels

    @model_serializer(mode="wrap")
    def _without_no_labels(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out empty labels, for versions that had no labels."""
        record: dict[str, Any] = dump(self)
        if not record.get("labels"):
            record.pop("labels", None)
        return record


def nnunet_labels(labels: SequenceOf[Label]) -> dict[str, Any]:
    """Labels in the format of `dataset.json`; several regions have lists and an order of classes.

    Args:
        labels: Labels of a store, the whole tumour first; none or one for the tumour alone.

    Example:
        >>> whole, cyst = Label(name="tumour", values=(1, 2)), Label(name="cyst", values=(2,))
        >>> nnunet_labels([whole, cyst])["labels"]
        {'background': 0, 'tumour': [1, 2], 'cyst': [2]}
    """
    if len(labels) < 2:
        return {"labels": {"background": 0, "tumour": 1}}
    regions = {one.name: [n + 1 for n in within(labels, p)] for p, one in enumerate(labels)}
    order = [place + 1 for place in range(len(labels))]
    return {"labels": {"background": 0, **regions}, "regions_class_order": order}


def results_folder(path: Path) -> Path | None:
    """Find the nnU-Net results folder of a path, itself or the parent of a fold; None if none.

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
    """Number of a fold by its folder's name; None for `fold_all`."""
    number = fold.name.removeprefix(FOLD)
    return int(number) if number.isascii() and number.isdigit() and len(number) < 4 else None


def read_nnunet_export(results: Path) -> NnunetExport | None:
    """Read the export record of the data that an nnU-Net was trained on; None if there is none.

    It is in `plgg.json` in the folder, or in the `dataset.json` that nnU-Net copied there.

    Raises:
        RunError: If the record does not fit this version.
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
