"""One training step: plgg's against the plain way, same network, batch and loss.

On a GPU if there is one, else on the CPU. The plain way is MONAI's SegResNet in float32 in the
default memory format. Run:
    python benchmarks/training_step.py [--size paper|small] [--json]
"""

from __future__ import annotations

import argparse
from typing import Any

import torch
from monai.networks.nets import SegResNet
from torch import Tensor

from common import compare, timed
from plgg.config import PRESETS, Config
from plgg.model.device import choose_runtime, keep_freed_memory
from plgg.model.network import build_network
from plgg.tasks.segmentation import soft_dice_loss

KNOWN = torch.tensor([True])


def _batch(config: Config) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    image = torch.randn((1, 1, *config.patches.size), generator=generator)
    return image, (image > 1.5).float()


def _finished(device: torch.device) -> None:
    """Wait for what a GPU was given to do."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def plain(options: argparse.Namespace) -> dict[str, Any]:
    """SegResNet, float32, default memory format."""
    config, device = PRESETS[options.size], choose_runtime().device
    network = SegResNet(
        spatial_dims=3,
        init_filters=config.model.init_filters,
        in_channels=1,
        out_channels=1,
        blocks_down=config.model.blocks_down,
        blocks_up=config.model.blocks_up,
    ).to(device)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-4)
    image, mask = (part.to(device) for part in _batch(config))
    known = KNOWN.to(device)

    def step() -> None:
        optimiser.zero_grad()
        soft_dice_loss(network(image), mask, known).backward()
        optimiser.step()
        _finished(device)

    return {"seconds": timed(step, repeats=options.repeats)} | _gpu_gib(device)


def ours(options: argparse.Namespace) -> dict[str, Any]:
    """Plgg's network in channels-last, bfloat16 where the hardware has it, memory kept."""
    config, runtime = PRESETS[options.size], choose_runtime()
    keep_freed_memory()
    network = build_network(config.model, n_classes=3, arm="single", seed=0).to(runtime.device)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-4, fused=True)
    image, mask = (part.to(runtime.device) for part in _batch(config))
    image = image.to(memory_format=torch.channels_last_3d)
    known = KNOWN.to(runtime.device)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        with runtime.autocast():
            outputs = network(image)
        soft_dice_loss(outputs["segmentation"], mask, known).backward()
        optimiser.step()
        _finished(runtime.device)

    seconds = timed(step, repeats=options.repeats)
    return {"seconds": seconds, "precision": runtime.name} | _gpu_gib(runtime.device)


def _gpu_gib(device: torch.device) -> dict[str, float]:
    """The GPU's peak memory, where there is one."""
    if device.type != "cuda":
        return {}
    return {"peak_gib": round(torch.cuda.max_memory_allocated(device) / 2**30, 2)}


if __name__ == "__main__":
    compare(__file__, {"plain": plain, "plgg": ours})
