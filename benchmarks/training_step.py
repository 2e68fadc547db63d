"""One training step on the CPU: plgg's against the plain way, same network, batch and loss.

The plain way is MONAI's SegResNet in float32 in the default memory format. Run:
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
from plgg.losses.dice import soft_dice_loss
from plgg.model.allocator import keep_freed_memory
from plgg.model.device import Runtime, cpu_has_bf16
from plgg.model.network import build_network

KNOWN = torch.tensor([True])


def _batch(config: Config) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    image = torch.randn((1, 1, *config.patches.size), generator=generator)
    return image, (image > 1.5).float()


def plain(options: argparse.Namespace) -> dict[str, Any]:
    """SegResNet, float32, default memory format."""
    config = PRESETS[options.size]
    network = SegResNet(
        spatial_dims=3,
        init_filters=config.model.init_filters,
        in_channels=1,
        out_channels=1,
        blocks_down=config.model.blocks_down,
        blocks_up=config.model.blocks_up,
    )
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-4)
    image, mask = _batch(config)

    def step() -> None:
        optimiser.zero_grad()
        soft_dice_loss(network(image), mask, KNOWN).backward()
        optimiser.step()

    return {"seconds": timed(step, repeats=options.repeats)}


def ours(options: argparse.Namespace) -> dict[str, Any]:
    """Plgg's network in channels-last, bfloat16 where the processor has it, memory kept."""
    config = PRESETS[options.size]
    keep_freed_memory()
    runtime = Runtime(torch.device("cpu"), cpu_has_bf16())
    network = build_network(config.model, n_classes=3, arm="single", seed=0)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-4, fused=True)
    image, mask = _batch(config)
    image = image.to(memory_format=torch.channels_last_3d)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        with runtime.autocast():
            outputs = network(image)
        soft_dice_loss(outputs["segmentation"], mask, KNOWN).backward()
        optimiser.step()

    return {"seconds": timed(step, repeats=options.repeats), "precision": runtime.name}


if __name__ == "__main__":
    compare(__file__, {"plain": plain, "plgg": ours})
