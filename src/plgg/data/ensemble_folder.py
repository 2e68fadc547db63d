"""The ensemble folder: runs whose predictions are averaged, one for each fold of a cohort.

ENSEMBLE/ensemble.json                       its members
ENSEMBLE/fold-K/                             a run, validated on the patients of fold K
ENSEMBLE/predictions/, evaluation/           each patient by the run that was not trained on it
ENSEMBLE/model_card.md
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from plgg.core.errors import RunError
from plgg.core.files import write_json
from plgg.core.paths import FileName, join_inside
from plgg.core.records import read_record

FILE = "ensemble.json"
OUT_OF_FOLD = "out-of-fold"
"""Predictions of each patient by the run that was not trained on that patient."""


class EnsembleRecord(BaseModel):
    """The contents of `ensemble.json`.

    Attributes:
        members: Names of the runs' folders.
        folds: Number of folds of the cohort.
        seed: Seed of the folds.
        name: Name of the model, if it is to be installed.
        about: Note for readers of its results.
        learnt_from: SHA-256 of the corrected scans that it was fine-tuned on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format: Literal["plgg-ensemble"] = "plgg-ensemble"
    version: Literal[1] = 1
    members: Annotated[tuple[FileName, ...], Field(min_length=1, max_length=1000)]
    folds: int
    seed: int = 0
    name: str = ""
    about: str = ""
    learnt_from: tuple[str, ...] = ()


def is_ensemble(folder: Path) -> bool:
    """Whether a folder holds an ensemble."""
    return (folder / FILE).is_file()


def write_ensemble(folder: Path, record: EnsembleRecord) -> None:
    """Write `ensemble.json`.

    Raises:
        OutputError: If it cannot be written.
    """
    write_json(folder / FILE, record.model_dump(mode="json"))


def read_ensemble(folder: Path) -> EnsembleRecord:
    """Read `ensemble.json`.

    Raises:
        RunError: If the file is missing or of an unknown version.
    """
    return read_record(
        folder / FILE,
        EnsembleRecord,
        error=RunError,
        what="cannot be read as an ensemble",
        remedy="Copy the folder again, or train again.",
        absent=RunError("is no ensemble", where=folder, remedy="Make one: plgg train --folds 5."),
    )


def member_runs(folders: Iterable[Path]) -> list[Path]:
    """List the runs of models: each is a run, or an ensemble of several.

    Raises:
        RunError: If an ensemble cannot be read, or a member lies outside its folder.
    """
    runs: list[Path] = []
    for folder in folders:
        if not is_ensemble(folder):
            runs.append(folder)
            continue
        names = read_ensemble(folder).members
        runs += [join_inside(folder, name, error=RunError) for name in names]
    return runs
