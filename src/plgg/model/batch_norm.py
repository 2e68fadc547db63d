"""Batch normalisation whose running moments can be re-estimated for averaged weights.

The running moments of a training belong to its current weights, not to their average. With them a
validation Dice of 0.79 for the averaged weights is measured as 0.75, and as 0.05 early on.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_weights

# TensorFlow's constants, with which the published weights of EfficientNet were trained.
_EPSILON = 1e-3
_MOMENTUM = 0.01


class BatchNorm(nn.Module):
    """Batch normalisation of slices, (batch, channels, i, j), with TensorFlow's constants."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.momentum = _MOMENTUM
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise by the batch in training, by the running moments in evaluation."""
        return functional.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            training=self.training,
            momentum=self.momentum,
            eps=_EPSILON,
        )


def has_moments(network: nn.Module) -> bool:
    """Whether a network has layers of batch normalisation that are not frozen."""
    layers = (layer for layer in network.modules() if isinstance(layer, BatchNorm))
    return any(layer.weight.requires_grad for layer in layers)


def refresh_moments(network: Any, images: Iterable[Tensor]) -> None:  # noqa: ANN401 - see below
    """Set the running moments to their means over batches of images.

    Args:
        network: With a method `encode`; its mode of training or evaluation is restored.
        images: Batches as in training.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, BatchNorm)]
    mode = network.training
    network.train()
    try:
        with torch.no_grad():
            for number, image in enumerate(images):
                for layer in layers:
                    layer.momentum = 1.0 / (number + 1)
                network.encode(image)
    finally:
        for layer in layers:
            layer.momentum = _MOMENTUM
        network.train(mode)


def fold_batch_norm(network: nn.Module) -> nn.Module:
    """Fold batch normalisation into the convolutions before it.

    For prediction only, where it saves a fifth of the time. The network is changed in place.
    """
    for block in network.modules():
        if isinstance(block, nn.ReLU6):
            block.inplace = True  # No gradient needs what it was given.
        if not isinstance(block, nn.Sequential):
            continue
        for number, (conv, norm) in enumerate(pairwise(block)):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, BatchNorm):
                conv.weight, bias = fuse_conv_bn_weights(
                    conv.weight,
                    conv.bias,
                    norm.running_mean,
                    norm.running_var,
                    _EPSILON,
                    norm.weight,
                    norm.bias,
                )
                conv.bias = bias
                block[number + 1] = nn.Identity()
    return network
