"""The body of the network: MONAI's SegResNet, encoder and decoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from monai.networks.nets import SegResNet
from torch import Tensor, nn

from plgg.config import ModelConfig
from plgg.model.layers import SeededDropout, with_fast_norm


def _segresnet(settings: ModelConfig, n_channels: int = 1) -> nn.Module:
    network: Any = SegResNet(
        spatial_dims=3,
        init_filters=settings.init_filters,
        in_channels=n_channels * settings.stem**3,
        out_channels=settings.stem**3,
        dropout_prob=settings.dropout or None,
        norm=("GROUP", {"num_groups": settings.norm_groups}),
        blocks_down=settings.blocks_down,
        blocks_up=settings.blocks_up,
        upsample_mode="nontrainable",
    )
    if settings.dropout:
        network.dropout = SeededDropout(settings.dropout)
    return with_fast_norm(network)


BACKBONES: dict[str, Callable[[ModelConfig, int], nn.Module]] = {"segresnet": _segresnet}


def bottleneck_channels(settings: ModelConfig) -> int:
    """Channels after the last halving: filters double at each."""
    return settings.init_filters * settings.divisor // settings.stem


def decode(backbone: Any, bottleneck: Tensor, skips: Sequence[Tensor]) -> list[Tensor]:  # noqa: ANN401
    """Features after each level of the decoder, the finest last; those of the bottleneck first.

    The backbone's own `decode` gives the last alone.

    Args:
        backbone: With `up_samples` and `up_layers`, deepest first.
        bottleneck: Deepest features.
        skips: Features of the encoder, finest first; the last is the bottleneck itself.
    """
    features = [bottleneck]
    levels = zip(backbone.up_samples, backbone.up_layers, skips[-2::-1], strict=True)
    for up, layer, skip in levels:
        features.append(layer(up(features[-1]) + skip))
    return features


def encoder_stages(backbone: Any) -> list[list[nn.Module]]:  # noqa: ANN401
    """The encoder's layers by stage, from the image on."""
    first, *others = backbone.down_layers
    return [[backbone.convInit, first], *([stage] for stage in others)]
