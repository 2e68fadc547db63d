"""Backbones of MONAI: SegResNet, the one of the paper, and Swin UNETR."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from monai.networks.nets import SegResNet, SwinUNETR
from torch import Tensor, nn

from plgg.config import ModelConfig
from plgg.core.errors import ConfigError
from plgg.model.layers import SeededDropout, with_fast_norm


class SegResNetBackbone(SegResNet):  # type: ignore[misc]
    """MONAI's SegResNet after Myronenko 2018: residual blocks, filters doubled at each halving."""

    def __init__(self, settings: ModelConfig, n_channels: int) -> None:
        super().__init__(
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
            self.dropout = SeededDropout(settings.dropout)
        self.n_built = settings.stem**3
        self.widths = tuple(settings.init_filters * 2**n for n in range(len(settings.blocks_down)))
        with_fast_norm(self)

    def encode(self, image: Tensor) -> list[Tensor]:
        """As the protocol says."""
        return list(super().encode(image)[1])

    def decode(self, features: Sequence[Tensor]) -> list[Tensor]:
        """As the protocol says; MONAI's own returns only the last."""
        decoded = [features[-1]]
        levels = zip(self.up_samples, self.up_layers, features[-2::-1], strict=True)
        for up, layer, skip in levels:
            decoded.append(layer(up(decoded[-1]) + skip))
        return decoded

    def head(self, out: int) -> nn.Sequential:
        """MONAI's own last layer, as in the published network; with `out` channels for regions."""
        own = cast("nn.Sequential", self.get_submodule("conv_final"))
        self.conv_final = nn.Identity()
        if out != self.n_built:
            before = list(own.children())[:-1]
            own = nn.Sequential(*before, nn.Conv3d(self.widths[0], out, kernel_size=1))
        return own

    def stages(self) -> list[list[nn.Module]]:
        """As the protocol says."""
        first, *others = self.down_layers
        return [[self.convInit, first], *([stage] for stage in others)]


class SwinUNETRBackbone(SwinUNETR):  # type: ignore[misc]
    """MONAI's Swin UNETR (Hatamizadeh et al. 2022): windows of attention, five halvings."""

    # The patch embedding reads the image, and so does the skip at full resolution.
    reads_image_once = False

    def __init__(self, settings: ModelConfig, n_channels: int) -> None:
        width = settings.init_filters
        if width % 12:
            raise ConfigError(
                f"swin_unetr needs model.init_filters to be a multiple of 12, not {width}",
                remedy="Set model.init_filters=24 or 48.",
            )
        if settings.dropout:
            raise ConfigError(
                "swin_unetr has no dropout that belongs to the patch",
                remedy="Leave model.dropout at 0.",
            )
        # MONAI reads values of tensors in its constructor, which `meta` tensors do not have.
        with torch.device("cpu"):
            super().__init__(
                in_channels=n_channels * settings.stem**3,
                out_channels=settings.stem**3,
                feature_size=width,
                spatial_dims=3,
            )
        self.out = nn.Identity()
        self.widths = (width, width, 2 * width, 4 * width, 8 * width, 16 * width)

    def encode(self, image: Tensor) -> list[Tensor]:
        """As the protocol says."""
        states = self.swinViT(image, self.normalize)
        return [
            self.encoder1(image),
            self.encoder2(states[0]),
            self.encoder3(states[1]),
            self.encoder4(states[2]),
            states[3],
            self.encoder10(states[4]),
        ]

    def decode(self, features: Sequence[Tensor]) -> list[Tensor]:
        """As the protocol says."""
        decoded = [features[-1]]
        steps = (self.decoder5, self.decoder4, self.decoder3, self.decoder2, self.decoder1)
        for step, skip in zip(steps, features[-2::-1], strict=True):
            decoded.append(step(decoded[-1], skip))
        return decoded

    def head(self, out: int) -> nn.Sequential:
        """A 1×1×1 convolution."""
        return nn.Sequential(nn.Conv3d(self.widths[0], out, kernel_size=1))

    def stages(self) -> list[list[nn.Module]]:
        """As the protocol says."""
        swin = self.swinViT
        return [
            [swin.patch_embed, self.encoder1],
            [swin.layers1, self.encoder2],
            [swin.layers2, self.encoder3],
            [swin.layers3, self.encoder4],
            [swin.layers4, self.encoder10],
        ]
