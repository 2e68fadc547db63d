"""Distributed training by Lightning Fabric; by default one process without it.

Processes are started by `devices` and `nodes`, by torchrun or by SLURM.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from plgg.core.errors import ConfigError
from plgg.model.device import choose_runtime
from plgg.train.batches import Share

if TYPE_CHECKING:
    from lightning_fabric import Fabric


Forward = Callable[..., dict[str, Any]]


class ProcessGroup:
    """This process and the others that share every batch.

    Args:
        fabric: Fabric that connects them; None for a single process.
    """

    def __init__(self, fabric: Fabric | None = None) -> None:
        self._fabric = fabric
        self.rank = fabric.global_rank if fabric else 0
        self.size = fabric.world_size if fabric else 1

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and messages."""
        return self.rank == 0

    def device(self, chosen: torch.device) -> torch.device:
        """This process' own device of the chosen kind."""
        return self._fabric.device if self._fabric else chosen

    def share(self, pieces: int) -> Share:
        """The part of each batch for this process."""
        return Share(self.rank, self.size, pieces)

    def join(self, network: nn.Module) -> Forward:
        """The network's forward pass, whose gradients are averaged over all processes."""
        if self._fabric is None:
            return network
        # Weights of 1×1×1 convolutions have two layouts that are the same; torch warns of it.
        warnings.filterwarnings("ignore", message="Grad strides do not match bucket view")
        return self._fabric.setup_module(network, move_to_device=False)

    def no_sync(self, forward: Forward) -> AbstractContextManager[object]:
        """Context in which gradients stay with their process."""
        if self._fabric is None:
            return nullcontext()
        return self._fabric.no_backward_sync(forward)  # type: ignore[arg-type]

    def sum(self, values: Tensor) -> Tensor:
        """Sum over all processes, without gradient."""
        if self._fabric is None:
            return values
        total: Tensor = self._fabric.all_reduce(values, reduce_op="sum")  # type: ignore[assignment]
        return total

    def gather(self, mine: list[Any]) -> list[Any]:
        """The items of all processes, in the order of their ranks."""
        if self._fabric is None:
            return mine
        everyone: list[list[Any]] = [[] for _ in range(self.size)]
        torch.distributed.all_gather_object(everyone, mine)
        return [item for items in everyone for item in items]

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self._fabric is not None:
            self._fabric.barrier()


def join_process_group(
    precision: Literal["auto", "bf16", "fp32"], *, devices: int = 1, nodes: int = 1
) -> ProcessGroup:
    """Start the processes, or join those that torchrun or SLURM started.

    Args:
        precision: As set; the device must support it.
        devices: Processes on each node, one for each device.
        nodes: Number of machines.

    Raises:
        ConfigError: If the device is Apple's mps, of which there is one, or a package is missing.
    """
    by_torchrun = int(os.environ.get("WORLD_SIZE", "1")) > 1
    if devices * nodes == 1 and not by_torchrun:
        return ProcessGroup()
    device_type = choose_runtime(precision).device.type
    if device_type == "mps":
        raise ConfigError("Apple's mps is one device", remedy="Leave --devices at 1.")
    try:
        from lightning_fabric import Fabric
        from lightning_fabric.strategies.ddp import DDPStrategy
    except ImportError as error:
        raise ConfigError(
            "several devices need the package lightning-fabric, which is not installed",
            remedy='Run: pip install "plgg[distributed]", or leave --devices and --nodes at 1.',
        ) from error
    if by_torchrun:
        devices = int(os.environ.get("LOCAL_WORLD_SIZE", devices))
        nodes = int(os.environ["WORLD_SIZE"]) // devices
    # Its banner would fall between the progress bars.
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    backend = "nccl" if device_type == "cuda" else "gloo"
    fabric = Fabric(
        accelerator=device_type,
        devices=devices,
        num_nodes=nodes,
        strategy=DDPStrategy(process_group_backend=backend),
    )
    fabric.launch()
    return ProcessGroup(fabric)
