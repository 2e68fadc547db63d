"""Layers: GroupNorm that is fast on a CPU, running standardisation, dropout with a seed a patch.

PyTorch's backward kernel of GroupNorm takes several times longer on channels-last bfloat16 than on
contiguous arrays. Here the same kernel gets contiguous copies. See `benchmarks/training_step.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from plgg.core.errors import ConfigError

_Gradients = tuple[Tensor, Tensor, Tensor, None, None]


class _GroupNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - torch's context has no type
        image: Tensor,
        weight: Tensor,
        bias: Tensor,
        groups: int,
        epsilon: float,
    ) -> Tensor:
        n, channels = image.shape[:2]
        out, mean, rstd = torch.native_group_norm(
            image, weight, bias, n, channels, image[0, 0].numel(), groups, epsilon
        )
        ctx.save_for_backward(image, weight, mean, rstd)
        ctx.groups = groups
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> _Gradients:  # noqa: ANN401
        image, weight, mean, rstd = ctx.saved_tensors
        n, channels = image.shape[:2]
        size = image[0, 0].numel()
        d_image, d_weight, d_bias = torch.ops.aten.native_group_norm_backward(
            gradient.contiguous(),
            image.contiguous(),
            mean,
            rstd,
            weight,
            n,
            channels,
            size,
            ctx.groups,
            [True, True, True],
        )
        return d_image.to(memory_format=torch.channels_last_3d), d_weight, d_bias, None, None


class GroupNorm(nn.GroupNorm):
    """`torch.nn.GroupNorm` for images (batch, channels, i, j, k); same parameters and names."""

    def forward(self, image: Tensor) -> Tensor:
        """Normalise each group of channels of each sample."""
        # Also where the image needs no gradient, for which torch's kernel crashes on this layout.
        slow = image.device.type == "cpu" and torch.is_grad_enabled()
        if not (slow and image.is_contiguous(memory_format=torch.channels_last_3d)):
            return super().forward(image)
        out: Tensor = _GroupNormFunction.apply(  # type: ignore[no-untyped-call]
            image, self.weight, self.bias, self.num_groups, self.eps
        )
        return out


def with_fast_norm(network: nn.Module) -> nn.Module:
    """Replace every GroupNorm of a network in place; weights and their names stay."""
    for name, child in network.named_children():
        if type(child) is nn.GroupNorm:
            fast = GroupNorm(child.num_groups, child.num_channels, child.eps)
            fast.load_state_dict(child.state_dict())
            setattr(network, name, fast)
        else:
            with_fast_norm(child)
    return network


Reduce = Callable[[Tensor], Tensor]
"""Function that sums a tensor over all processes that train together."""


class Standardise(nn.Module):
    """Standardise each feature by running moments: mean 0 and variance 1 over recent patches.

    In the pooled bottleneck the differences between patients are small compared with the mean, and
    a head on it would collapse to a constant answer. The moments are running averages without
    gradient, used in training and in evaluation, so that a batch of one works and a prediction does
    not depend on others in its batch. A step uses the moments of earlier steps, so that it does not
    depend on how its batch is divided.

    Args:
        channels: Number of features.
        momentum: Weight of a new batch in the running averages.
    """

    mean: Tensor
    square: Tensor
    weight: Tensor

    def __init__(self, channels: int, *, momentum: float = 0.05) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("square", torch.zeros(channels))
        # Sum of the weights so far, to correct the bias of averages that start at 0.
        self.register_buffer("weight", torch.zeros(()))
        # Whether to count the features; False for fillers, which are not part of the batch.
        self.counted = True
        # For each piece of the current batch: sums of features and of squares, and their number.
        self._seen: list[Tensor] = []

    def forward(self, features: Float[Tensor, "batch c"]) -> Float[Tensor, "batch c"]:
        """Subtract the running mean and divide by the running standard deviation."""
        if self.training and torch.is_grad_enabled():
            if self.counted:
                self._see(features.detach())
            if not self.weight:
                # There are no moments yet, and raw features would be too large for later layers.
                return features - features.detach()
        known = self.weight.clamp(min=self.momentum)
        mean = self.mean / known
        # Shrunk to a variance of 1 at first, because a few similar patients have a tiny one.
        variance = (self.square / known - mean * mean).clamp(min=0.0) * self.weight
        return (features - mean) * torch.rsqrt(variance + (1.0 - self.weight) + 1e-5)

    def _see(self, features: Tensor) -> None:
        number = features.new_full((1,), len(features))
        self._seen.append(torch.cat([features.sum(dim=0), features.square().sum(dim=0), number]))

    def update_running_stats(self, reduce: Reduce = lambda sums: sums) -> None:
        """Update the running averages by the current batch; call after each training step.

        Every process must call it, also one with fillers only, because the sums are reduced.
        """
        n = len(self.mean)
        nothing = self.mean.new_zeros(2 * n + 1)
        sums = reduce(torch.stack(self._seen).sum(dim=0) if self._seen else nothing)
        self._seen = []
        if not sums[-1]:
            return
        for average, value in (
            (self.mean, sums[:n] / sums[-1]),
            (self.square, sums[n:-1] / sums[-1]),
            (self.weight, torch.ones_like(self.weight)),
        ):
            average.lerp_(value, self.momentum)


_LAYERS_APART = 0x9E3779B97F4A7C15
_LARGEST = 2**63 - 1


class SeededDropout(nn.Module):
    """Zeroes features, or whole channels of an image, and scales the rest up.

    Source: N. Srivastava and others, Dropout, Journal of Machine Learning Research 15, 2014.

    Args:
        share: Chance of each to be zeroed.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share
        self._seeds: list[int] | None = None

    def draw(self, seeds: Tensor, layer: int) -> None:
        """Set the seeds of the next forward passes.

        Args:
            seeds: One for each patch of the batch.
            layer: Number of this layer in the network, so that layers draw different numbers.
        """
        self._seeds = [(seed + layer * _LAYERS_APART) % _LARGEST for seed in seeds.tolist()]

    def forward(self, features: Tensor) -> Tensor:
        """Apply dropout to features of shape (batch, channels, ...); none in evaluation."""
        if not (self.training and self.share):
            return features
        return features * self._factors(features)

    def _factors(self, features: Tensor) -> Tensor:
        shape = features.shape[:2]
        if self._seeds is None:
            drawn = torch.rand(shape)
        else:
            rows = [
                torch.rand(shape[1], generator=torch.Generator().manual_seed(seed))
                for seed in self._seeds
            ]
            drawn = torch.stack(rows)
        kept = (drawn >= self.share).to(features.device, features.dtype) / (1.0 - self.share)
        return kept.reshape(*shape, *[1] * (features.dim() - 2))


_Network = TypeVar("_Network", bound=nn.Module)


def channels_last(network: _Network) -> _Network:
    """Convert the weights of 2-D and 3-D convolutions to channels-last memory format, in place."""
    layouts = {4: torch.channels_last, 5: torch.channels_last_3d}
    for parameter in network.parameters():
        if parameter.ndim in layouts:
            parameter.data = parameter.data.contiguous(memory_format=layouts[parameter.ndim])
    return network


def reinitialise(network: _Network) -> _Network:
    """Initialise the weights of all layers again, in place."""
    for module in network.modules():
        reset: Any = getattr(module, "reset_parameters", None)
        if reset is not None:
            reset()
    return network


def widen_input(backbone: Any, before: int, more: int) -> None:  # noqa: ANN401 - see `Backbone`
    """Add input channels with weights of 0 to the first layer of a backbone.

    Before training its output is the same, whatever these channels hold.

    Args:
        backbone: Its first stage must begin with the only convolution that reads the image.
        before: Present number of channels of the image.
        more: Number of channels to add after them.

    Raises:
        ConfigError: If the backbone has no such convolution.
    """
    first = backbone.stages()[0][0].modules()
    layer: Any = next((one for one in first if isinstance(one, nn.Conv2d | nn.Conv3d)), None)
    if not getattr(backbone, "reads_image_once", True) or getattr(layer, "groups", 0) != 1:
        raise ConfigError(
            "model.marker_planes needs a backbone whose first convolution alone reads the image",
            remedy="Choose segresnet or efficientnet_lite0.",
        )
    if layer.in_channels != before:
        raise ConfigError(
            f"the backbone's first convolution reads {layer.in_channels} channels, not {before}",
            remedy="stages() of a backbone must begin with the layer that reads the image.",
        )
    wider = layer.weight.new_zeros(layer.out_channels, more, *layer.weight.shape[2:])
    layer.weight = nn.Parameter(torch.cat([layer.weight.detach(), wider], dim=1))
    layer.in_channels += more


def to_blocks(image: Float[Tensor, "batch c i j k"], side: int) -> Tensor:
    """Pixel unshuffle in 3-D: blocks to channels, (batch, c·side³, i/side, j/side, k/side).

    The order is that of `monai.networks.utils.pixelunshuffle`, which trained networks expect.
    """
    n, channels, i, j, k = image.shape
    blocks = image.reshape(n, channels, i // side, side, j // side, side, k // side, side)
    return blocks.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(
        n, channels * side**3, i // side, j // side, k // side
    )


class FirstChannels(nn.Module):
    """Keep the first channels.

    Args:
        n: Their number.
    """

    def __init__(self, n: int) -> None:
        super().__init__()
        self.n = n

    def forward(self, features: Tensor) -> Tensor:
        """Shape (batch, n, …)."""
        return features[:, : self.n]


def from_blocks(blocks: Float[Tensor, "batch c i j k"], side: int) -> Tensor:
    """Pixel shuffle in 3-D, the inverse of `to_blocks`."""
    n, channels, i, j, k = blocks.shape
    voxels = blocks.reshape(n, channels // side**3, side, side, side, i, j, k)
    return voxels.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(n, -1, i * side, j * side, k * side)
