"""What a run's folder holds that its model card says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from plgg.core.errors import PlggError, RunError
from plgg.core.markdown import escaped
from plgg.core.records import JsonError, read_json
from plgg.data.calibration import Calibration, read_calibration
from plgg.data.run_folder import read_config, read_environment, read_metrics, read_split
from plgg.data.store import Store, StoredCase
from plgg.evaluate.evaluation import Evaluation, read_evaluation
from plgg.evaluate.experiment_records import Record, dig
from plgg.evaluate.records import CaseScores

PARTS = ("train", "validation", "test")
Case = StoredCase | CaseScores


@dataclass(frozen=True)
class Facts:
    """A run's records; what is not there is empty or None.

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
        calibration: What validation taught.
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

    @property
    def cases(self) -> tuple[Case, ...]:
        """All known cases."""
        return tuple(case for part in self.parts.values() for case in part)


def read_facts(run: Path) -> Facts:
    """Read a run.

    Raises:
        RunError: If the folder is no run, or one of its files cannot be read.
    """
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
    return Facts(
        name=run.resolve().name,
        config=read_config(run).model_dump(mode="json"),
        environment=environment,
        checkpoint=_record(run / "checkpoints" / "best.json"),
        epochs=tuple(read_metrics(run)),
        sizes={part: len(split.get(part, ())) for part in PARTS},
        parts=stored or scored,
        is_whole=bool(stored),
        evaluations=evaluations,
        calibration=read_calibration(run),
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
    """The split's cases in the store that the run was trained on, if that is still the same."""
    named = dig(environment, "store")
    if not isinstance(named, str):
        return {}
    try:
        known = Store(Path(named)).by_id
    except PlggError:
        return {}
    wanted = {part: tuple(split.get(part, ())) for part in PARTS}
    if not all(name in known for names in wanted.values() for name in names):
        return {}
    return {part: tuple(known[name] for name in names) for part, names in wanted.items()}


Pairs = Iterable[tuple[str, str]]


def facts(pairs: Pairs) -> str:
    """A list of what is known; blanks are left out."""
    return "\n".join(f"- **{label}:** {escaped(value)}" for label, value in pairs if value)


def bullets(sentences: Iterable[str]) -> str:
    """A list of sentences; blanks are left out."""
    return "\n".join(f"- {escaped(sentence)}" for sentence in sentences if sentence)
