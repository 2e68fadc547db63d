"""Initial weights of a run: random, of ImageNet, or of another run.

The backbone of the other run must fit. A head that does not fit, or that the other run lacks, is
initialised at random, and the log says so.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from plgg.config import Config, InitConfig
from plgg.core.errors import ConfigError
from plgg.model.checkpoint import Checkpoint, load_checkpoint, unprefixed
from plgg.model.efficientnet import EfficientNetBackbone, MissingWeightsError, load_imagenet
from plgg.model.network import MultitaskNet
from plgg.tasks.base import AuxiliaryTask

log = logging.getLogger(__name__)


def with_initial_hash(config: Config) -> Config:
    """Add path and hash of the initial weights to the settings.

    Raises:
        CheckpointError: If the other run holds no usable checkpoint.
        ConfigError: If `init.interpolate` is set, and no run is named.
    """
    if config.init.run is None:
        if config.init.interpolate:
            raise ConfigError(
                "init.interpolate mixes in the weights that a run starts from, and none are named",
                remedy="Name a run with --init.",
            )
        return config
    found = load_checkpoint(Path(config.init.run))
    init = config.init.model_copy(
        update={"run": str(Path(config.init.run).resolve()), "sha256": found.meta.sha256}
    )
    return config.model_copy(update={"init": init})


def initial_weights(
    network: MultitaskNet, settings: InitConfig, tasks: Mapping[str, AuxiliaryTask]
) -> None:
    """Load weights of ImageNet, or the best weights of another run, where the settings name them.

    Args:
        network: With random weights.
        settings: Names the run, and whether to load ImageNet's weights.
        tasks: Of this run; a head is taken over only if the task is of the same kind, column and
            classes.

    Raises:
        CheckpointError: If the other run holds no usable checkpoint.
        ConfigError: If its backbone is another, its weights have changed since this run began, or
            the backbone has no ImageNet weights.
    """
    if settings.imagenet:
        _from_imagenet(network)
    if settings.run is None:
        return
    found = load_checkpoint(Path(settings.run))
    if settings.sha256 not in {None, found.meta.sha256}:
        raise ConfigError(
            "the weights to start from are not those that this run began with",
            where=settings.run,
            remedy="Begin a new run.",
        )
    given = _fitting(network, found, tasks)
    missing = network.load_state_dict(given, strict=False).missing_keys
    strange = [name for name in missing if name.startswith("backbone.")]
    if strange:
        raise ConfigError(
            f"the run to start from has another body ({strange[0]} does not fit)",
            where=settings.run,
            remedy="Give the same model settings as it has.",
        )
    heads = sorted({name.split(".")[1] for name in missing})
    if heads:
        log.warning("%s: new, not taken from %s", ", ".join(heads), settings.run)


def _from_imagenet(network: MultitaskNet) -> None:
    if not isinstance(network.backbone, EfficientNetBackbone):
        raise ConfigError(
            "init.imagenet is for the backbone efficientnet_lite0",
            remedy="Leave it out, or choose that backbone.",
        )
    try:
        load_imagenet(network.backbone)
    except MissingWeightsError as error:
        log.warning("%s The encoder starts from chance, which costs much of the result.", error)


def _fitting(
    network: MultitaskNet, found: Checkpoint, tasks: Mapping[str, AuxiliaryTask]
) -> dict[str, Tensor]:
    wanted = network.state_dict()
    theirs = found.meta.auxiliary
    strange = tuple(
        f"heads.{name}."
        for name, task in tasks.items()
        if name not in theirs or not task.fits(theirs[name])
    )
    return {
        name: value
        for name, value in unprefixed(found.tensors, "model.").items()
        if name in wanted and wanted[name].shape == value.shape and not name.startswith(strange)
    }
