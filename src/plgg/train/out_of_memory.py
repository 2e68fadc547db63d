"""Memory of a training: checked before a network is built, and errors when it runs out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import torch

from plgg.config import Config
from plgg.core.errors import ConfigError, RunError
from plgg.model.network import MultitaskNet, Tasks

# PyTorch's allocator on the CPU has no error class of its own, only these messages.
_WORDS = ("can't allocate memory", "not enough memory", "out of memory")


@contextmanager
def explain_out_of_memory(run: Path, config: Config) -> Iterator[None]:
    """Turn a failed allocation into a `RunError` that names a setting which needs less memory.

    Raises:
        RunError: If memory ran out.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not _ran_out(error):
            raise
        raise RunError(
            "memory ran out in a training step", where=run, remedy=_remedy(config)
        ) from error


def _ran_out(error: BaseException) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return any(words in str(error).lower() for words in _WORDS)


def _remedy(config: Config) -> str:
    execution = config.execution
    if execution.accumulate < config.patches.batch:
        more = min(config.patches.batch, 2 * execution.accumulate)
        return (
            f"Repeat the command with --set execution.accumulate={more}: the result is the same, "
            "in less memory."
        )
    if not execution.checkpointing:
        return (
            "Repeat the command with --set execution.checkpointing=true: the result is the same, "
            "in less memory."
        )
    return "Begin a new run with smaller patches.size, or use a device with more memory."


_FLOAT_BYTES = 4
# A weight, its gradient and Adam's two moments.
_COPIES = 4


def require_memory(
    config: Config, n_classes: int, device: torch.device, *, tasks: Tasks | None = None
) -> None:
    """Check that the device has the least memory that training can take.

    Raises:
        ConfigError: If it is not.
    """
    weights = n_parameters(config, n_classes, tasks)
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


def n_parameters(config: Config, n_classes: int, tasks: Tasks | None = None) -> int:
    """Number of weights of a config's network, counted without allocating them."""
    with torch.device("meta"):
        network = MultitaskNet(
            config.model,
            n_classes=n_classes,
            arm=config.arm,
            tasks=tasks,
            n_sequences=len(config.channels),
            n_outlines=config.n_outlines,
        )
    return sum(parameter.numel() for parameter in network.parameters())


def _first_features(config: Config) -> int:
    """Elements of the first feature map of the patches of one micro-batch."""
    at_once = math.ceil(config.patches.batch / config.execution.accumulate)
    voxels = math.prod(config.patches.size) // config.model.stem**3
    return at_once * voxels * config.model.init_filters


def memory_bytes(device: torch.device) -> int:
    """Total memory of a GPU; for other devices, that of the computer."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return int(psutil.virtual_memory().total)
