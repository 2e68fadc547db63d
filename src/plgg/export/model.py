"""`export_model`: write a run or an ensemble as one folder to share, without patient data.

It holds what a prediction needs: weights in half precision, calibration, model card. Names of cases
and paths of the training machine are left out.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from plgg.config import Config, InitConfig
from plgg.core.errors import RunError
from plgg.core.files import make_folder, write_text
from plgg.core.folders import MODEL, replace_folder
from plgg.core.paths import named_atlas
from plgg.data.calibration import read_calibration, write_calibration
from plgg.data.ensemble_folder import (
    EnsembleRecord,
    is_ensemble,
    member_runs,
    read_ensemble,
    write_ensemble,
)
from plgg.export.run import largest_difference, require_near, synthetic_image
from plgg.export.tracing import Outputs, Traceable
from plgg.model.checkpoint import (
    Checkpoint,
    load_checkpoint,
    read_meta,
    save_checkpoint,
    unprefixed,
)
from plgg.tasks.mask_task import scan_level_tasks

# Size of the image to compare both precisions with, in voxels of the bottleneck.
_CELLS = (7, 9, 6)
_LARGEST_HALF = 6e4
# Largest difference of probabilities, and of features relative to the largest one; bfloat16 alone
# changes probabilities by 0.01.
_TOLERANCE = 0.02


def export_model(folder: Path, out: Path, *, name: str = "", about: str = "") -> dict[str, float]:
    """Write a model folder atomically.

    Args:
        folder: A run or an ensemble.
        out: Folder to write.
        name: Name of the model; by default that of the folder.
        about: Note of a sentence or two for everyone who reads a result of it.

    Returns:
        The largest difference between the answers of both precisions.

    Raises:
        CheckpointError: If a run has no checkpoint that can be used.
        RunError: If a run has no calibration, or predictions in half precision differ too much.
        OutputError: If something else is in the folder's place.
    """
    runs = member_runs([folder])
    record = EnsembleRecord(
        members=tuple(f"fold-{number}" for number in range(len(runs))),
        folds=read_ensemble(folder).folds if is_ensemble(folder) else 1,
        name=name or folder.resolve().name,
        about=about,
    )
    with replace_folder(out, MODEL, inputs=[folder]) as aside:
        found = [
            _write_member(run, aside / member)
            for run, member in zip(runs, record.members, strict=True)
        ]
        card = folder / "model_card.md"
        if card.is_file():
            write_text(aside / card.name, _card(card, record.name, about))
        write_ensemble(aside, record)
    return {key: max(one[key] for one in found) for key in found[0]}


def _card(card: Path, name: str, about: str) -> str:
    """The model card with the name of the model as its title, and `about` below it."""
    _, _, rest = card.read_text(encoding="utf-8").partition("\n")
    title = f"# Model card: {name}\n"
    return f"{title}\n**{about}**\n{rest}" if about and about not in rest else f"{title}{rest}"


def _write_member(run: Path, folder: Path) -> dict[str, float]:
    calibration = read_calibration(run)
    if calibration is None:
        raise RunError("has no calibration", where=run, remedy="Repeat the plgg train command.")
    checkpoint = load_checkpoint(run)
    meta = checkpoint.meta
    half = {name: _halved(name, value) for name, value in _weights(checkpoint).items()}
    found = _difference(checkpoint, half)
    make_folder(folder / "checkpoints")
    save_checkpoint(
        folder / "checkpoints",
        "best",
        {f"model.{name}": value for name, value in half.items()},
        epoch=meta.epoch,
        config=_without_places(meta.config),
        classes=meta.classes,
        metrics=meta.metrics,
        best_dice=meta.best_dice,
        tasks=meta.tasks,
    )
    digest = read_meta(folder).sha256
    write_calibration(folder, calibration.model_copy(update={"model_sha256": digest}))
    return found


def _weights(checkpoint: Checkpoint) -> dict[str, Tensor]:
    return unprefixed(checkpoint.tensors, "model.")


def _halved(name: str, value: Tensor) -> Tensor:
    """Convert to half precision, except for running moments and values out of its range."""
    if "running_" in name or not value.is_floating_point() or value.abs().max() > _LARGEST_HALF:
        return value
    return value.half()


def _difference(checkpoint: Checkpoint, half: dict[str, Tensor]) -> dict[str, float]:
    """The largest differences between outputs in half and in full precision.

    Raises:
        RunError: If one is larger than the tolerance.
    """
    changed = {f"model.{name}": value.float() for name, value in half.items()}
    other = checkpoint.model_copy(update={"tensors": changed})
    whole, halved = (_answers(Traceable(one.network())) for one in (checkpoint, other))
    found = largest_difference(whole, halved, scan_level_tasks(checkpoint.meta.restored_tasks()))
    require_near(found, "half precision", tolerance=_TOLERANCE)
    return found


def _answers(network: Traceable) -> list[Outputs]:
    i, j, k = (n * cells for n, cells in zip(network.network.divisors, _CELLS, strict=True))
    image: NDArray[np.float32] = np.stack([synthetic_image((i, j, k))] * network.network.n_channels)
    with torch.inference_mode():
        return [network.answer(image)]


def _without_places(config: Config) -> Config:
    """The settings without paths of the machine that it was trained on."""
    atlas = config.preprocess.atlas
    plain = atlas if named_atlas(atlas) else Path(atlas).name
    return config.model_copy(
        update={
            "init": InitConfig(imagenet=config.init.imagenet),
            "preprocess": config.preprocess.model_copy(update={"atlas": plain}),
        }
    )
