"""Checkpoints: tensors in safetensors, everything else in JSON; never a pickle.

    checkpoints/last.json               version, epoch, config, classes, hash of the weights
    checkpoints/last-0012.safetensors   the tensors

The tensors are written first, under a new name, then the JSON is renamed into place. So a crash at
any moment leaves a complete checkpoint, the old or the new one.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, NonNegativeInt
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from plgg.config import MARKER, Config
from plgg.core.case_id import ClassNames
from plgg.core.environment import versions
from plgg.core.errors import CheckpointError
from plgg.core.files import atomic_write, sha256, write_json
from plgg.core.paths import FileName, join_inside
from plgg.core.records import read_record
from plgg.data.store_records import VERSION_1_SETTINGS
from plgg.model.network import MultitaskNet, Tasks, build_network
from plgg.tasks.base import AuxiliaryTask, TaskRecord
from plgg.tasks.kinds import marker_record, restore_tasks

VERSION = 2
Name = Literal["best", "last"]


def _with_preprocessing(meta: dict[str, Any]) -> dict[str, Any]:
    """Add the preprocessing of version 1: stripped scans placed by their brain's centre."""
    settings = VERSION_1_SETTINGS.model_dump(mode="json")
    return {**meta, "version": 2, "config": {**meta["config"], "preprocess": settings}}


# Functions that turn the JSON of version n into that of n + 1; old files stay readable.
UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _with_preprocessing}


class Meta(BaseModel):
    """The JSON beside the tensors.

    Attributes:
        weights: File name of the tensors.
        sha256: Their hash.
        epoch: Number of finished epochs.
        config: The run's settings.
        classes: Marker classes, in the order of the logits.
        tasks: Records of the auxiliary tasks by name; None in older checkpoints, which have the
            marker only.
        metrics: Validation at that epoch.
        best_dice: Best validation Dice so far.
        versions: Versions of the packages that made it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format: Literal["plgg-checkpoint"] = "plgg-checkpoint"
    version: int = VERSION
    weights: FileName
    sha256: str
    epoch: NonNegativeInt
    config: Config
    classes: ClassNames
    tasks: dict[str, TaskRecord] | None = None
    metrics: dict[str, Any]
    best_dice: float | None
    versions: dict[str, str]

    @property
    def auxiliary(self) -> dict[str, TaskRecord]:
        """Records of the tasks that the network has heads for."""
        if self.config.arm == "single":
            return {}
        return {MARKER: marker_record(self.classes)} if self.tasks is None else self.tasks

    def restored_tasks(self) -> dict[str, AuxiliaryTask]:
        """The auxiliary tasks, built from their records.

        Raises:
            ConfigError: If the package of a kind is not installed.
        """
        return restore_tasks(self.auxiliary, self.config.loss)


class Checkpoint(BaseModel):
    """A checkpoint that was read: its JSON and its tensors by name."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    meta: Meta
    tensors: dict[str, Tensor]

    def network(self) -> MultitaskNet:
        """The network with these weights.

        Raises:
            CheckpointError: If the tensors do not fit the network that the config describes.
        """
        meta = self.meta
        return network_of(
            meta.config,
            len(meta.classes),
            unprefixed(self.tensors, "model."),
            where=meta.weights,
            tasks=meta.restored_tasks(),
        )


def network_of(
    config: Config,
    n_classes: int,
    weights: dict[str, Tensor],
    *,
    where: str | Path,
    tasks: Tasks | None = None,
) -> MultitaskNet:
    """Build the network of a config with these weights.

    Names and shapes of the weights are checked before memory is allocated for the network.

    Raises:
        CheckpointError: If they do not fit it.
    """
    with torch.device("meta"):
        empty = MultitaskNet(
            config.model,
            n_classes=n_classes,
            arm=config.arm,
            tasks=tasks,
            n_sequences=len(config.channels),
            n_outlines=config.n_outlines,
        )
        wanted = {name: tensor.shape for name, tensor in empty.state_dict().items()}
    given = {name: tensor.shape for name, tensor in weights.items()}
    if given != wanted:
        strange = sorted(
            name for name in given.keys() | wanted.keys() if given.get(name) != wanted.get(name)
        )
        raise CheckpointError(
            f"the tensors do not fit the network of the config ({len(strange)} of {len(wanted)}, "
            f"the first {strange[0][:80]!a})",
            where=where,
            remedy=_AGAIN,
        )
    network = build_network(
        config.model,
        n_classes=n_classes,
        arm=config.arm,
        seed=0,
        tasks=tasks,
        n_sequences=len(config.channels),
        n_outlines=config.n_outlines,
    )
    network.load_state_dict(weights)
    return network


def unprefixed(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose name begins with a prefix, without it."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def save_checkpoint(  # noqa: PLR0913 - the fields of its record
    folder: Path,
    name: Name,
    tensors: dict[str, Tensor],
    *,
    epoch: int,
    config: Config,
    classes: tuple[str, ...],
    metrics: dict[str, Any],
    best_dice: float | None,
    tasks: dict[str, TaskRecord] | None = None,
) -> None:
    """Write a checkpoint; the tensors that it replaces are removed last."""
    weights = folder / f"{name}-{epoch:04d}.safetensors"
    with atomic_write(weights) as aside:
        # Not `save_file`: it hides the file from other users and has its own error for a full disk.
        aside.write_bytes(save({k: v.detach().cpu().contiguous() for k, v in tensors.items()}))
    meta = Meta(
        weights=weights.name,
        sha256=sha256(weights),
        epoch=epoch,
        config=config,
        classes=classes,
        tasks=tasks,
        metrics=metrics,
        best_dice=best_dice,
        versions=versions(),
    )
    write_json(folder / f"{name}.json", meta.model_dump(mode="json"))
    _remove_others(folder, name, weights.name)


def _remove_others(folder: Path, name: Name, kept: str) -> None:
    for old in folder.glob(f"{name}-*.safetensors"):
        # Only files with names that are written here; others are copies that a user made.
        if old.name != kept and old.stem.removeprefix(f"{name}-").isdecimal():
            old.unlink()


def remove_replaced(run: Path) -> None:
    """Remove weights that no record names any more, which a killed process may leave."""
    names: tuple[Name, ...] = ("best", "last")
    for name in names:
        with suppress(CheckpointError):
            _remove_others(run / "checkpoints", name, read_meta(run, name).weights)


def load_checkpoint(run: Path, name: Name = "best") -> Checkpoint:
    """Read a checkpoint of a run, checking its version and the hash of its tensors.

    Raises:
        CheckpointError: If it is missing, altered, or of an unknown version.
    """
    meta = read_meta(run, name)
    weights = join_inside(run, "checkpoints", meta.weights, error=CheckpointError)
    if not weights.is_file():
        raise CheckpointError("the weights are missing", where=weights, remedy=_AGAIN)
    if sha256(weights) != meta.sha256:
        raise CheckpointError(
            "the weights are not those that were saved (SHA-256 differs)",
            where=weights,
            remedy="Copy the run again, or train again; an altered model is not used.",
        )
    return Checkpoint(meta=meta, tensors=read_tensors(weights))


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file by name; its header is checked against its size.

    Raises:
        CheckpointError: If it is no such file.
    """
    try:
        return load_file(path)
    # Types that this torch does not know are a KeyError or an AttributeError.
    except (SafetensorError, OSError, ValueError, LookupError, AttributeError) as error:
        raise CheckpointError("is not a safetensors file", where=path, remedy=_AGAIN) from error


_AGAIN = "Copy the run again, or train again."


def read_meta(run: Path, name: Name = "best") -> Meta:
    """Read the JSON of a checkpoint, upgraded to this version.

    Raises:
        CheckpointError: If it is missing or of an unknown version.
    """
    path = run / "checkpoints" / f"{name}.json"
    return read_record(
        path,
        Meta,
        error=CheckpointError,
        what="does not fit this version",
        remedy=_AGAIN,
        absent=CheckpointError(
            f"holds no checkpoint {name!r}",
            where=run,
            remedy="Give the folder of a plgg train run.",
        ),
        upgrade=lambda raw: _upgraded(raw, path),
    )


def _upgraded(raw: dict[str, Any], path: Path) -> dict[str, Any]:
    version = raw.get("version") if isinstance(raw, dict) else None
    while version != VERSION:
        if not isinstance(version, int) or version not in UPGRADES:
            raise CheckpointError(
                f"is of version {str(version)[:20]}; this plgg reads up to {VERSION}",
                where=path,
                remedy="Update plgg.",
            )
        raw = UPGRADES[version](raw)
        version = raw["version"]
    return raw


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's state as flat tensors, for `save_checkpoint`."""
    state = optimiser.state_dict()["state"]
    return {
        f"optimiser.{index}.{key}": torch.as_tensor(value)
        for index, values in state.items()
        for key, value in values.items()
    }


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put flat tensors back into an optimiser of the same parameters.

    Raises:
        CheckpointError: If they are of other parameters.
    """
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in unprefixed(tensors, "optimiser.").items():
        index, _, key = name.partition(".")
        if not (index.isdecimal() and len(index) < 10 and int(index) < len(parameters)):
            raise CheckpointError(
                f"the optimiser's state {name[:80]!a} is of no parameter", remedy=_AGAIN
            )
        state.setdefault(int(index), {})[key] = _laid_out_as(value, parameters[int(index)])
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})


def _laid_out_as(value: Tensor, parameter: Tensor) -> Tensor:
    """Copy moments from a file into the memory layout of their weights, for fused optimisers."""
    if not value.ndim:  # the count of steps
        return value
    if value.shape != parameter.shape:
        raise CheckpointError("the optimiser's state is of other parameters", remedy=_AGAIN)
    like = torch.empty_like(parameter, dtype=value.dtype, device=value.device, requires_grad=False)
    return like.copy_(value)
