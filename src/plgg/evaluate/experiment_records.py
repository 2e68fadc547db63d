"""An experiment folder as typed records: plan, runs, epochs, evaluations.

Missing parts are left out and named in `notes`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from plgg.core.errors import PlggError, RunError
from plgg.data.experiment_folder import (
    ExperimentRecord,
    failures,
    read_about,
    read_failure,
    run_of,
    unseen_folder,
)
from plgg.data.experiment_folder import read_experiment as read_plan
from plgg.data.run_folder import read_config, read_environment, read_metrics, read_split
from plgg.evaluate.evaluation import Evaluation, read_evaluation
from plgg.evaluate.records import CaseScores

PARTS = ("validation", "test")
# Beyond this number, missing runs are counted and not named; the table of runs names them.
_MOST_ABSENT = 4
_NOT_YET = "is not evaluated yet"


@dataclass(frozen=True)
class Run:
    """One arm on one split, with one seed.

    Attributes:
        split: Number of the split.
        arm: Name of the arm.
        folder: The run folder.
        epochs: Lines of `metrics.jsonl`.
        evaluations: By part; those that are not there are left out.
        config: Its settings; empty where unknown.
        environment: Versions and machine; empty where unknown.
        sizes: Cases of each part of the split; empty where unknown.
        problems: What is missing or could not be read, in clauses.
        seed: Number of the seed, from 0.
    """

    split: int
    arm: str
    folder: Path
    epochs: Sequence[Record]
    evaluations: Mapping[str, Evaluation]
    config: Record
    environment: Record
    sizes: Mapping[str, int]
    problems: tuple[str, ...]
    seed: int = 0

    @property
    def test(self) -> Evaluation | None:
        """The evaluation of the test part."""
        return self.evaluations.get("test")

    @property
    def collapsed(self) -> bool:
        """Whether the marker head gave one constant answer at the last validation."""
        looks = [e["validation"] for e in self.epochs if nested(e, "validation")]
        return bool(looks and nested(looks[-1], "marker_collapsed"))


@dataclass(frozen=True)
class Experiment:
    """The records of an experiment, finished or not.

    Attributes:
        folder: Where it lies.
        record: `experiment.json`.
        runs: By split, seed, then arm; those that were not begun are left out.
        unseen: Evaluations on further patients, of a demo, by arm; empty without one.
        about: Paragraphs on the patients of a demo; empty for other experiments.
        notes: What is missing or could not be read, in whole sentences.
    """

    folder: Path
    record: ExperimentRecord
    runs: tuple[Run, ...]
    unseen: Mapping[str, Evaluation]
    notes: tuple[str, ...]
    about: tuple[str, ...] = ()

    @property
    def arms(self) -> tuple[str, ...]:
        """Names of the arms; the first is the baseline."""
        return self.record.arms

    @property
    def n_splits(self) -> int:
        """Splits that were planned."""
        return self.record.n_splits

    def of(self, arm: str) -> tuple[Run, ...]:
        """The runs of one arm, by split and seed."""
        return tuple(run for run in self.runs if run.arm == arm)

    @property
    def n_seeds(self) -> int:
        """Seeds that were planned."""
        return self.record.n_seeds

    def tests(self, arm: str) -> Iterator[Evaluation]:
        """The test evaluations of one arm, by split and seed."""
        return (run.test for run in self.of(arm) if run.test is not None)

    def split_tests(self, arm: str) -> list[list[Evaluation]]:
        """The test evaluations of one arm: of each split that has any, those of its seeds."""
        found: dict[int, list[Evaluation]] = {}
        for run in self.of(arm):
            if run.test is not None:
                found.setdefault(run.split, []).append(run.test)
        return list(found.values())

    def tested(self, arm: str) -> Iterator[tuple[Run, CaseScores]]:
        """The tested cases of one arm; a case that several splits test comes several times."""
        return ((run, case) for run in self.of(arm) if run.test for case in run.test.rows)

    @property
    def marker_arms(self) -> tuple[str, ...]:
        """The arms that give marker probabilities."""
        return tuple(a for a in self.arms if any(case.probabilities for _, case in self.tested(a)))


def read_experiment(folder: Path) -> Experiment:
    """Read an experiment folder.

    Raises:
        RunError: If it is not an experiment.
    """
    record = read_plan(folder)
    runs: list[Run] = []
    notes: list[str] = []
    absent: list[str] = []
    every = product(range(record.n_splits), range(record.n_seeds), record.arms)
    for split, seed, arm in every:
        run = _run(run_of(folder, split, arm, seed), split, arm, seed)
        which = f", seed {record.seed + seed}" if seed else ""
        told = [f"Split {split + 1}, {arm}{which}: {problem}." for problem in run.problems]
        if run.folder.is_dir():
            runs.append(run)
            notes += told
        else:
            absent += told
    notes += absent if len(absent) <= _MOST_ABSENT else [f"{len(absent)} runs are not run yet."]
    notes += _failed_points(folder, tuple(run.folder for run in runs))
    unseen = {arm: _evaluation(unseen_folder(folder, arm))[0] for arm in record.arms}
    return Experiment(
        folder,
        record,
        tuple(runs),
        unseen={arm: found for arm, found in unseen.items() if found},
        notes=tuple(notes),
        about=read_about(folder),
    )


def _failed_points(folder: Path, told: tuple[Path, ...]) -> list[str]:
    """A sentence for each failed grid point, without failures that the arms' runs report."""
    points = {
        place: error for place, error in failures(folder).items() if folder / place not in told
    }
    notes = []
    for place, error in points.items():
        parts = list(Path(place).parts)
        seed = [parts.pop(0).replace("-", " ")] if parts[0].startswith("seed-") else []
        split, *rest = parts
        number = split.removeprefix("split-")
        title = f"Split {int(number) + 1}" if number.isdecimal() else split
        notes.append(f"{', '.join([title, *rest, *seed])}: it failed ({error.rstrip('.')}).")
    return notes


def _run(folder: Path, split: int, arm: str, seed: int) -> Run:
    found = {part: _evaluation(folder / "evaluation" / part) for part in PARTS}
    epochs, broken = read_epochs(folder)
    drawn, no_split = _known(folder, "split.json", read_split)
    config, no_config = _known(folder, "config.json", _config)
    problems = [why for why in (no_config, no_split) if why]
    problems += [f"the {p} part {why}" for p, (_, why) in found.items() if why]
    if all(why == _NOT_YET for _, why in found.values()):
        problems = ["neither part is evaluated yet"]
    failure = read_failure(folder)
    if broken or not epochs:
        problems.append(broken or "there is no training record (metrics.jsonl)")
    if failure is not None:
        # The missing parts of a failed run are not listed.
        problems = [f"it failed ({failure.error.rstrip('.')})"]
    elif any(folder.glob("*=*")):
        problems = ["no point of the grid is chosen yet"]
    return Run(
        split=split,
        arm=arm,
        folder=folder,
        epochs=epochs,
        evaluations={part: evaluation for part, (evaluation, _) in found.items() if evaluation},
        config=config,
        environment=read_environment(folder),
        sizes={p: len(drawn[p]) for p in ("train", *PARTS) if p in drawn},
        problems=tuple(problems) if folder.is_dir() else ("not run yet",),
        seed=seed,
    )


def _evaluation(folder: Path) -> tuple[Evaluation | None, str | None]:
    """An evaluation, or why there is none."""
    if not folder.is_dir():
        return None, _NOT_YET
    try:
        return read_evaluation(folder), None
    except PlggError:
        return None, "has an evaluation that cannot be read"


def read_epochs(folder: Path) -> tuple[list[Record], str | None]:
    """The lines of a run's `metrics.jsonl`; none, and why, where they cannot be read."""
    try:
        return read_metrics(folder), None
    except RunError as error:
        return [], f"its training record (metrics.jsonl) cannot be read: {error.what}"


def _known(folder: Path, name: str, read: Callable[[Path], Record]) -> tuple[Record, str | None]:
    """A file of a run; empty where it is not there, with the reason where it cannot be read."""
    if not (folder / name).exists():
        return {}, None
    try:
        return read(folder), None
    except PlggError as error:
        return {}, f"its {name} cannot be read: {error.what}"


def _config(run: Path) -> Record:
    return read_config(run).model_dump(mode="json")


Record = dict[str, Any]


def nested(record: object, *keys: str) -> Any:  # noqa: ANN401 - JSON is any
    """The value under a path of keys; None where the path ends early."""
    for key in keys:
        if not isinstance(record, dict):
            return None
        record = record.get(key)
    return record


def finite(value: object) -> float | None:
    """A finite number; None for all else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None
