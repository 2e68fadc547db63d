"""Backbones by name: encoder and decoder of the network; `model.backbone` chooses one.

    register_backbone("mine", build)     # or an entry point of the group `plgg.backbones`
    plgg train store --run run --set model.backbone=mine

Only the shapes of inputs and outputs are fixed. A backbone may, for example, encode the slices of a
volume in 2-D.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from torch import Tensor, nn

from plgg.config import ModelConfig
from plgg.core.errors import ConfigError
from plgg.core.registry import Registry
from plgg.model.efficientnet import EfficientNetBackbone


class Backbone(Protocol):
    """Interface of a backbone, which is an `nn.Module`.

    Attributes:
        widths: Channels of the features at each level, the finest first; each level halves the
            sides of the one before.

    A backbone sets `reads_image_once = False` if more than its first convolution reads the image.
    """

    widths: tuple[int, ...]

    def encode(self, image: Tensor) -> list[Tensor]:
        """Features of each level, the finest first, of an image (batch, channels, i, j, k)."""

    def decode(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Decoded features of each level, those of the bottleneck first, the finest last."""

    def head(self, out: int) -> nn.Sequential:
        """The segmentation head on the finest decoded features, with `out` output channels."""

    def stages(self) -> list[list[nn.Module]]:
        """The encoder's layers by stage, from the image on, so that some can be frozen."""


def _segresnet(settings: ModelConfig, n_channels: int) -> nn.Module:
    # Importing MONAI takes as long as importing PyTorch; only these two need it.
    from plgg.model.monai_backbones import SegResNetBackbone

    return SegResNetBackbone(settings, n_channels)


def _swin_unetr(settings: ModelConfig, n_channels: int) -> nn.Module:
    from plgg.model.monai_backbones import SwinUNETRBackbone

    return SwinUNETRBackbone(settings, n_channels)


Builder = Callable[[ModelConfig, int], nn.Module]
BACKBONES: Registry[Builder] = Registry(
    "backbone",
    "plgg.backbones",
    {
        "segresnet": _segresnet,
        "swin_unetr": _swin_unetr,
        "efficientnet_lite0": EfficientNetBackbone,
    },
)


def register_backbone(name: str, build: Builder) -> None:
    """Register a backbone under a name.

    Args:
        name: The value of `model.backbone` that chooses it.
        build: Makes a `Backbone` from settings and the number of the image's channels.

    Raises:
        ConfigError: If the name is taken by another.
    """
    BACKBONES.add(name, build)


def build_backbone(settings: ModelConfig, n_channels: int) -> Any:  # noqa: ANN401 - see `Backbone`
    """Build the backbone that the settings name.

    Raises:
        ConfigError: If there is none of that name, or it does not fit the settings.
    """
    backbone: Any = BACKBONES.find(settings.backbone)(settings, n_channels)
    halvings = (settings.divisor // settings.stem).bit_length() - 1
    if len(backbone.widths) != halvings + 1:
        raise ConfigError(
            f"the backbone {settings.backbone} halves the image {len(backbone.widths) - 1} times, "
            f"and the settings say {halvings}",
            remedy="model.blocks_down needs one entry for each level of the backbone.",
        )
    if settings.deep_supervision > max(0, len(backbone.widths) - 2):
        raise ConfigError(
            f"the backbone {settings.backbone} has too few levels for "
            f"model.deep_supervision={settings.deep_supervision}",
            remedy="Choose a smaller one.",
        )
    return backbone
