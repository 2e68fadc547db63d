"""Names of the models of a reading room, and which model made a result."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from plgg.core.errors import PlggError
from plgg.core.records import JsonError, read_json
from plgg.data.ensemble_folder import is_ensemble, member_runs, read_ensemble
from plgg.data.result import Result
from plgg.serve.work import WorkFolder


class ModelInfo(BaseModel):
    """Name and description of a model.

    Attributes:
        name: Name of the installed model, the folder or the round.
        about: Note for everyone who reads a result of it.
        members: Number of networks.
        round: Round that trained it; None for an initial model.
    """

    name: str
    about: str = ""
    members: int = 1
    round: int | None = None


def known_models(work: WorkFolder) -> list[ModelInfo]:
    """The initial models and those of all accepted rounds, oldest first."""
    rounds = [_info((_run(work, number),), number) for number in work.accepted_rounds()]
    return [_info(work.models, None), *rounds]


def current_model(work: WorkFolder) -> ModelInfo:
    """The model for new predictions."""
    return _info(work.current_models(), work.current_round())


def sequences(work: WorkFolder) -> list[str]:
    """Input sequences of the current model, the reference first."""
    checkpoint = _checkpoint(member_runs(work.current_models())[0])
    found = checkpoint.get("config", {}).get("channels") or ["flair"]
    return [str(name) for name in found]


def model_name_of(work: WorkFolder, result: Result) -> str:
    """The name of the model that made a result; the beginning of its SHA-256 if it is unknown."""
    made = tuple(model.sha256 for model in result.models)
    for number in [None, *work.accepted_rounds()]:
        folders = work.models if number is None else (_run(work, number),)
        if _weights(folders) == made:
            return _info(folders, number).name
    return made[0][:12] if made else ""


def _run(work: WorkFolder, number: int) -> Path:
    return work.round_folder(number) / "run"


@lru_cache(maxsize=64)
def _info(folders: tuple[Path, ...], number: int | None) -> ModelInfo:
    records = [read_ensemble(folder) for folder in folders if is_ensemble(folder)]
    names = [read_ensemble(f).name or f.name if is_ensemble(f) else f.name for f in folders]
    return ModelInfo(
        name=" + ".join(names) if number is None else f"round {number}",
        about=" ".join(_once(record.about for record in records)),
        members=len(member_runs(folders)),
        round=number,
    )


def _once(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(filter(None, texts)))


@lru_cache(maxsize=64)
def _weights(folders: tuple[Path, ...]) -> tuple[str, ...]:
    try:
        return tuple(str(_checkpoint(run).get("sha256")) for run in member_runs(folders))
    except PlggError:
        return ()


def _checkpoint(run: Path) -> dict[str, Any]:
    """Metadata of the best checkpoint, read without importing torch."""
    try:
        found = read_json(run / "checkpoints" / "best.json")
    except JsonError:
        return {}
    return found if isinstance(found, dict) else {}
