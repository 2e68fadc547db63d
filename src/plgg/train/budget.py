"""Whether a network can be trained here at all, by a count, before anything is built.

What is counted is a lower bound: weights, their gradients and Adam's two moments, and the first
feature map of every patch that is in memory at once. A run that passes may still need more, which
`plgg.train.shortage` then says.
"""

from __future__ import annotations

import math

import psutil
import torch

from plgg.config import Config
from plgg.errors import ConfigError
from plgg.model.network import MultitaskNet

_FLOAT_BYTES = 4
# The weight, its gradient, Adam's two moments.
_COPIES = 4


def require_memory(config: Config, n_classes: int, device: torch.device) -> None:
    """Check that the least that training takes is there.

    Raises:
        ConfigError: If it is not.
    """
    weights = n_parameters(config, n_classes)
    features = _first_features(config)
    wanted = _FLOAT_BYTES * (_COPIES * weights + features)
    there = memory_bytes(device)
    if wanted > there:
        raise ConfigError(
            f"the network has {weights:.3g} weights and training it takes at least "
            f"{wanted / 2**30:.3g} GiB; there are {there / 2**30:.3g} GiB",
            where="settings",
            remedy="Lower model.init_filters, patches.size or patches.batch.",
        )


def n_parameters(config: Config, n_classes: int) -> int:
    """Weights of the network of a config, counted without memory for them."""
    with torch.device("meta"):
        network = MultitaskNet(config.model, n_classes=n_classes, arm=config.arm)
    return sum(parameter.numel() for parameter in network.parameters())


def _first_features(config: Config) -> int:
    """Numbers in the first feature map of the patches that pass together."""
    at_once = math.ceil(config.patches.batch / config.execution.accumulate)
    voxels = math.prod(config.patches.size) // config.model.stem**3
    return at_once * voxels * config.model.init_filters


def memory_bytes(device: torch.device) -> int:
    """All memory of a device; of a processor, the computer's."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return int(psutil.virtual_memory().total)
