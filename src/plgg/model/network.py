"""The multitask network: MONAI's SegResNet as shared body, heads as a named dict.

The backbone encodes and decodes; `segmentation` reads the decoded features, `marker` the
bottleneck. Knows nothing of losses, of data or of training.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from monai.networks.nets import SegResNet
from torch import Tensor, nn

from plgg.config import Arm, MarkerHeadConfig, ModelConfig
from plgg.model.norm import with_fast_norm

Image = Float[Tensor, "batch 1 i j k"]


class MultitaskNet(nn.Module):
    """An encoder shared by a decoder and, in the multitask arm, a classification branch.

    Args:
        settings: Size of the backbone and of the branch.
        n_classes: Marker classes.
        arm: `single` has no marker head.
    """

    def __init__(self, settings: ModelConfig, *, n_classes: int, arm: Arm) -> None:
        super().__init__()
        self.divisor = settings.divisor
        self.backbone = BACKBONES["segresnet"](settings)
        # The backbone's own last layer is the segmentation head.
        heads: dict[str, nn.Module] = {"segmentation": self.backbone.get_submodule("conv_final")}
        self.backbone.set_submodule("conv_final", nn.Identity())
        if arm == "multitask":
            heads["marker"] = MarkerHead(bottleneck_channels(settings), n_classes, settings.marker)
        self.heads = nn.ModuleDict(heads)

    def forward(self, image: Image) -> dict[str, Tensor]:
        """Logits by head: segmentation (batch, 1, i, j, k); marker (batch, classes).

        Every side of the image must be a multiple of `divisor`.
        """
        bottleneck, skips = self.encode(image)
        outputs = {"segmentation": self.heads["segmentation"](self._decode(bottleneck, skips))}
        if "marker" in self.heads:
            outputs["marker"] = self.heads["marker"](bottleneck)
        return outputs

    def encode(self, image: Image) -> tuple[Tensor, list[Tensor]]:
        """The bottleneck, (batch, 8·filters, i/8, j/8, k/8) with 4 levels, and the skips."""
        backbone: Any = self.backbone
        bottleneck, skips = backbone.encode(image)
        return bottleneck, list(skips)

    def _decode(self, bottleneck: Tensor, skips: list[Tensor]) -> Tensor:
        # The last skip is the bottleneck itself; the decoder wants them deepest first.
        backbone: Any = self.backbone
        decoded: Tensor = backbone.decode(bottleneck, skips[::-1])
        return decoded


class MarkerHead(nn.Module):
    """Global average pool, then fully connected layers with ReLU and dropout.

    Args:
        channels: Of the bottleneck.
        n_classes: Marker classes.
        settings: Widths, dropout, and whether the pooled features are normalised.
    """

    def __init__(self, channels: int, n_classes: int, settings: MarkerHeadConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = [Standardise(channels)] if settings.normalise else []
        for width in settings.hidden:
            layers += [nn.Linear(channels, width), nn.ReLU(), nn.Dropout(settings.dropout)]
            channels = width
        self.layers = nn.Sequential(*layers, nn.Linear(channels, n_classes))

    def forward(self, bottleneck: Float[Tensor, "batch c i j k"]) -> Float[Tensor, "batch classes"]:
        """Logits of the classes."""
        # Averaged in float32: thousands of bf16 terms would lose the small differences.
        pooled = bottleneck.float().mean(dim=(2, 3, 4))
        logits: Tensor = self.layers(pooled)
        return logits


class Standardise(nn.Module):
    """Each feature to mean 0 and variance 1 over the patients seen lately.

    What patients share dwarfs what tells them apart in the pooled bottleneck, and a branch fed on
    that ends in one constant answer. The moments are running averages that take no part in the
    gradient and are used alike in training and after it, so that a batch of one will do and a
    prediction does not depend on its neighbours.

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
        # Sum of the weights so far: divides out the zeros that the averages began with.
        self.register_buffer("weight", torch.zeros(()))

    def forward(self, features: Float[Tensor, "batch c"]) -> Float[Tensor, "batch c"]:
        """Features less their running mean over their running standard deviation."""
        if self.training:
            self._update(features.detach())
        # Without any training the moments are unknown: mean 0, variance 1.
        known = self.weight.clamp(min=self.momentum)
        mean = self.mean / known
        variance = torch.where(self.weight > 0, self.square / known - mean * mean, 1.0)
        return (features - mean) * torch.rsqrt(variance.clamp(min=0.0) + 1e-5)

    def _update(self, features: Tensor) -> None:
        for average, value in (
            (self.mean, features.mean(dim=0)),
            (self.square, features.square().mean(dim=0)),
            (self.weight, torch.ones_like(self.weight)),
        ):
            average.lerp_(value, self.momentum)


def _segresnet(settings: ModelConfig) -> nn.Module:
    network: nn.Module = SegResNet(
        spatial_dims=3,
        init_filters=settings.init_filters,
        in_channels=1,
        out_channels=1,
        dropout_prob=settings.dropout or None,
        norm=("GROUP", {"num_groups": settings.norm_groups}),
        blocks_down=settings.blocks_down,
        blocks_up=settings.blocks_up,
        upsample_mode="nontrainable",
    )
    return with_fast_norm(network)


BACKBONES: dict[str, Callable[[ModelConfig], nn.Module]] = {"segresnet": _segresnet}


def bottleneck_channels(settings: ModelConfig) -> int:
    """Channels after the last halving: filters double at each."""
    return settings.init_filters * settings.divisor


def build_network(settings: ModelConfig, *, n_classes: int, arm: Arm, seed: int) -> MultitaskNet:
    """A network with weights drawn from `seed`; both arms share the body's first weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = MultitaskNet(settings, n_classes=n_classes, arm=arm)
    return network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload, no-any-return]
