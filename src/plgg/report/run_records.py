"""Records of a trained run or an ensemble, as its model card needs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from plgg.core.errors import PlggError, RunError
from plgg.core.records import JsonError, read_json
from plgg.data.calibration import Calibration, read_calibration
from plgg.data.ensemble_folder import OUT_OF_FOLD, is_ensemble, member_runs, read_ensemble
from plgg.data.run_folder import read_config, read_environment, read_metrics, read_split
from plgg.data.store import Store
from plgg.data.store_records import StoredCase
from plgg.evaluate.evaluation import Evaluation, read_evaluation
from plgg.evaluate.experiment_records import Record, nested
from plgg.evaluate.records import CaseScores

PARTS = ("train", "validation", "test", OUT_OF_FOLD)
Case = StoredCase | CaseScores


@dataclass(frozen=True)
class RunRecords:
    """A run's records; missing ones are empty or None.

    Attributes:
        name: The folder's name.
        config: Its settings.
        environment: Versions and machine.
        checkpoint: `checkpoints/best.json`.
        epochs: Lines of `metrics.jsonl`.
        sizes: Scans of each part of the split.
        parts: Cases of each part: from the store, or where that is gone those that were scored.
        is_whole: Whether they are all cases of the split.
        evaluations: By part.
        calibration: What was fitted on the validation patients.
        folds: Of an ensemble, how many runs it has; else 0.
        about: Notes for the readers of a result.
    """

    name: str
    config: Record
    environment: Record
    checkpoint: Record
    epochs: tuple[Record, ...]
    sizes: Mapping[str, int]
    parts: Mapping[str, tuple[Case, ...]]
    is_whole: bool
    evaluations: Mapping[str, Evaluation]
    calibration: Calibration | None
    folds: int = 0
    about: str = ""

    @property
    def cases(self) -> tuple[Case, ...]:
        """All known cases."""
        return tuple(case for part in self.parts.values() for case in part)


def read_run(run: Path) -> RunRecords:
    """Read a run.

    Raises:
        RunError: If the folder is no run, or one of its files cannot be read.
    """
    if is_ensemble(run):
        return _read_ensemble(run)
    if not (run / "config.json").is_file():
        raise RunError("is not a run (no config.json)", where=run, remedy="Make one: plgg train.")
    split = read_split(run) if (run / "split.json").exists() else {}
    environment = read_environment(run)
    folders = {part: run / "evaluation" / part for part in PARTS}
    evaluations = {
        part: read_evaluation(folder)
        for part, folder in folders.items()
        if (folder / "summary.json").is_file()
    }
    stored = _stored(environment, split)
    scored = {part: found.rows for part, found in evaluations.items()}
    return RunRecords(
        name=run.resolve().name,
        config=read_config(run).model_dump(mode="json"),
        environment=environment,
        checkpoint=_record(run / "checkpoints" / "best.json"),
        epochs=tuple(read_metrics(run)),
        sizes={part: len(split[part]) for part in PARTS if split.get(part)},
        parts=stored or scored,
        is_whole=bool(stored),
        evaluations=evaluations,
        calibration=read_calibration(run),
    )


def _read_ensemble(folder: Path) -> RunRecords:
    """Read an ensemble: the records of its first run, with the evaluation out of fold."""
    record = read_ensemble(folder)
    first = read_run(member_runs([folder])[0])
    scored = folder / "evaluation" / OUT_OF_FOLD
    evaluations = (
        {OUT_OF_FOLD: read_evaluation(scored)} if (scored / "summary.json").is_file() else {}
    )
    cases: tuple[Case, ...] = first.cases
    if not first.is_whole:
        cases = tuple(case for found in evaluations.values() for case in found.rows)
    return replace(
        first,
        name=record.name or folder.resolve().name,
        sizes={OUT_OF_FOLD: len(cases)},
        parts={OUT_OF_FOLD: cases},
        evaluations=evaluations,
        folds=record.folds,
        about=record.about,
    )


def _record(path: Path) -> Record:
    try:
        found = read_json(path)
    except JsonError as fault:
        if fault.is_missing:
            return {}
        raise RunError(
            f"cannot be read ({fault.fault})", where=path, remedy="Train again."
        ) from fault
    return found if isinstance(found, dict) else {}


def _stored(environment: Record, split: Record) -> dict[str, tuple[Case, ...]]:
    """The cases of the split, from the store of the training; empty if any of them is missing."""
    named = nested(environment, "store")
    if not isinstance(named, str):
        return {}
    try:
        known = Store(Path(named)).by_id
    except PlggError:
        return {}
    wanted = {part: tuple(split.get(part, ())) for part in PARTS[:3]}
    if not all(name in known for names in wanted.values() for name in names):
        return {}
    return {part: tuple(known[name] for name in names) for part, names in wanted.items()}
