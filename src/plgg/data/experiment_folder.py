"""The experiment folder: its plan, and the folder of the run of each split and arm.

EXP/experiment.json                          the plan
EXP/split-K/ARM/                             a run
EXP/split-K/ARM/POINT/, ARM/choice.json      with a grid: a run for each point, and the chosen
EXP/seed-S/split-K/ARM/ …                    the same of further seeds, S above the first
RUN/failure.json, RUN/failure.log            of a run that failed, until it succeeds
EXP/about.txt                                notes on the patients, for readers of the report
EXP/unseen/ARM/evaluation/                   of a demo: an arm on patients of no split
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from plgg.core.errors import RunError
from plgg.core.files import write_json, write_text
from plgg.core.paths import FileName
from plgg.core.records import JsonError, as_record, read_json, read_record, read_text
from plgg.data.run_folder import is_run

log = logging.getLogger(__name__)
MAX_SPLITS = 1000


class ExperimentRecord(BaseModel):
    """The contents of `experiment.json`.

    Attributes:
        config: Settings of the base, without the arm.
        arms: Names; the first is the baseline.
        arm_configs: All settings of each arm; empty in version 1, whose arms differ in name alone.
        grid: Values of each setting that is searched.
        folds: Whether the splits are the folds of a cross validation.
        n_seeds: Seeds of each split and arm, from `seed` on.
        seconds: Time spent so far.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format: Literal["plgg-experiment"] = "plgg-experiment"
    version: Literal[1, 2] = 2
    store: str = ""
    preset: str = ""
    config: dict[str, Any] = {}
    arms: Annotated[tuple[FileName, ...], Field(min_length=1, max_length=1000)]
    arm_configs: dict[str, dict[str, Any]] = {}
    grid: dict[str, tuple[Any, ...]] = {}
    n_splits: Annotated[int, Field(ge=1, le=MAX_SPLITS)]
    seed: int = 0
    folds: bool = False
    n_seeds: Annotated[int, Field(ge=1, le=MAX_SPLITS)] = 1
    commands: tuple[str, ...] = ()
    seconds: float = 0.0


class Choice(BaseModel):
    """The contents of `choice.json`: the chosen point of a grid, and the criterion.

    Attributes:
        point: Name of the chosen point.
        scores: Score of each point; None where its run failed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format: Literal["plgg-choice"] = "plgg-choice"
    version: Literal[1] = 1
    point: FileName
    by: str = "validation Dice"
    scores: dict[FileName, float | None]

    @model_validator(mode="after")
    def _is_best(self) -> Choice:
        known = [score for score in self.scores.values() if score is not None]
        if self.scores and self.scores.get(self.point) != max(known, default=None):
            raise ValueError("the chosen point is not the best of its scores")
        return self


class Failure(BaseModel):
    """The contents of `failure.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format: Literal["plgg-failure"] = "plgg-failure"
    version: Literal[1] = 1
    error: str
    attempts: int


def write_about(folder: Path, text: str) -> None:
    """Write notes on the patients for readers of the report; a blank line ends a paragraph.

    Raises:
        OutputError: If it cannot be written.
    """
    write_text(folder / "about.txt", text)


def read_about(folder: Path) -> tuple[str, ...]:
    """Read the paragraphs of `about.txt`; empty if there is no such file."""
    try:
        text = read_text(folder / "about.txt")
    except JsonError:
        return ()
    return tuple(" ".join(part.split()) for part in text.split("\n\n") if part.strip())


def unseen_folder(folder: Path, arm: str) -> Path:
    """Folder of an arm's evaluation on patients outside all splits, beside their predictions."""
    return folder / "unseen" / arm / "evaluation"


def read_experiment(folder: Path) -> ExperimentRecord:
    """Read the plan of an experiment.

    Raises:
        RunError: If the folder is no experiment of a known version.
    """
    return read_record(
        folder / "experiment.json",
        ExperimentRecord,
        error=RunError,
        what="cannot be read as an experiment",
        remedy="Repeat plgg experiment.",
        absent=RunError(
            "is no experiment (no experiment.json)",
            where=folder,
            remedy="Make one: plgg experiment.",
        ),
    )


def write_experiment(folder: Path, record: ExperimentRecord) -> None:
    """Write the plan of an experiment."""
    raw = record.model_dump(mode="json")
    if record.n_seeds == 1:
        # Left out at its default, so that earlier versions can read the file.
        del raw["n_seeds"]
    write_json(folder / "experiment.json", raw)


def seed_folder(experiment: Path, seed: int) -> Path:
    """Folder of the splits of a seed, from 0; for seed 0, the folder of the experiment itself."""
    return experiment / f"seed-{seed}" if seed else experiment


def arm_folder(experiment: Path, split: int, arm: str, seed: int = 0) -> Path:
    """Folder of an arm's run on a split, or of the runs of its grid; seeds count from 0."""
    return seed_folder(experiment, seed) / f"split-{split}" / arm


def run_of(experiment: Path, split: int, arm: str, seed: int = 0) -> Path:
    """Folder of an arm's run on a split: the chosen point of a grid, or the only run.

    It need not exist yet.
    """
    folder = arm_folder(experiment, split, arm, seed)
    choice = read_choice(folder)
    return folder if choice is None else folder / choice.point


def read_choice(folder: Path) -> Choice | None:
    """The chosen point of a grid; None where none is chosen yet, or its record is damaged."""
    try:
        return as_record(read_json(folder / "choice.json"), Choice)
    except JsonError as error:
        if not error.is_missing:
            path = folder / "choice.json"
            log.warning(
                "%s is passed over: it %s; plgg experiment chooses again", path, error.fault
            )
        return None


def points_of(experiment: Path, split: int, arm: str) -> dict[str, Path]:
    """The runs of an arm's grid on a split, by point; empty without a grid."""
    folder = arm_folder(experiment, split, arm)
    return {run.name: run for run in sorted(folder.glob("*=*")) if _is_point(run) and is_run(run)}


def _is_point(run: Path) -> bool:
    """Whether a folder is named like a point of a grid: `KEY=VALUE,KEY=VALUE`."""
    return all("=" in part for part in run.name.split(","))


def note_failure(run: Path, error: str, trace: str) -> None:
    """Record the error of a failed run, and count its attempts."""
    known = read_failure(run)
    attempts = known.attempts + 1 if known else 1
    write_text(run / "failure.log", trace)
    write_json(run / "failure.json", Failure(error=error, attempts=attempts).model_dump())


def read_failure(run: Path) -> Failure | None:
    """Why a run failed; None where it did not."""
    try:
        return as_record(read_json(run / "failure.json"), Failure)
    except JsonError:
        return None


def forget_failure(run: Path) -> None:
    """Delete the failure record of a run, as after a successful attempt."""
    for name in ("failure.json", "failure.log"):
        (run / name).unlink(missing_ok=True)


def failures(experiment: Path) -> dict[str, str]:
    """The runs that failed, as `[seed-S/]split-K/ARM[/POINT]`, and why."""
    found = {}
    patterns = ("split-*/**/failure.json", "seed-*/split-*/**/failure.json")
    for path in sorted(path for pattern in patterns for path in experiment.glob(pattern)):
        failure = read_failure(path.parent)
        if failure is not None:
            found[str(path.parent.relative_to(experiment))] = failure.error
    return found
