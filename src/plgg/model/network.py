"""The multitask network: MONAI's SegResNet as shared body, heads as a named dict.

The backbone encodes and decodes; `segmentation` reads the decoded features, `marker` (see
`plgg.model.marker`) the bottleneck. The pooled bottleneck is given as well: it tells whether a scan
is like those of the training. Knows nothing of losses, of data or of training.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from monai.networks.nets import SegResNet
from monai.networks.utils import pixelshuffle, pixelunshuffle
from torch import Tensor, nn

from plgg.config import Arm, ModelConfig
from plgg.model.marker import MarkerHead
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
        self.divisor, self.stem = settings.divisor, settings.stem
        self.backbone = BACKBONES["segresnet"](settings)
        # The backbone's own last layer is the segmentation head.
        heads: dict[str, nn.Module] = {"segmentation": self.backbone.get_submodule("conv_final")}
        self.backbone.set_submodule("conv_final", nn.Identity())
        if arm == "multitask":
            channels = bottleneck_channels(settings)
            heads["marker"] = MarkerHead(channels, n_classes, settings.marker)
        self.heads = nn.ModuleDict(heads)

    def forward(self, image: Image) -> dict[str, Tensor]:
        """Logits by head, and the pooled bottleneck.

        Every side of the image must be a multiple of `divisor`.

        Returns:
            segmentation: (batch, 1, i, j, k); marker: (batch, classes), in the multitask arm;
            features: (batch, channels), float32 whatever the precision.
        """
        bottleneck, skips = self.encode(image)
        segmentation = self.heads["segmentation"](self._decode(bottleneck, skips))
        if self.stem > 1:
            segmentation = pixelshuffle(segmentation, 3, self.stem)
        # Detached: no loss may come to rest on what is only looked at.
        features = bottleneck.detach().float().mean(dim=(2, 3, 4))
        outputs = {"segmentation": segmentation, "features": features}
        if "marker" in self.heads:
            outputs["marker"] = self.heads["marker"](bottleneck, image, segmentation)
        return outputs

    def encode(self, image: Image) -> tuple[Tensor, list[Tensor]]:
        """The bottleneck, (batch, 8·filters, i/8, j/8, k/8) with 4 levels, and the skips."""
        backbone: Any = self.backbone
        if self.stem > 1:
            image = _laid_out(pixelunshuffle(image, 3, self.stem))
        bottleneck, skips = backbone.encode(image)
        return bottleneck, list(skips)

    def _decode(self, bottleneck: Tensor, skips: list[Tensor]) -> Tensor:
        # The last skip is the bottleneck itself; the decoder wants them deepest first.
        backbone: Any = self.backbone
        decoded: Tensor = backbone.decode(bottleneck, skips[::-1])
        return decoded


def _segresnet(settings: ModelConfig) -> nn.Module:
    network: nn.Module = SegResNet(
        spatial_dims=3,
        init_filters=settings.init_filters,
        in_channels=settings.stem**3,
        out_channels=settings.stem**3,
        dropout_prob=settings.dropout or None,
        norm=("GROUP", {"num_groups": settings.norm_groups}),
        blocks_down=settings.blocks_down,
        blocks_up=settings.blocks_up,
        upsample_mode="nontrainable",
    )
    return with_fast_norm(network)


def _laid_out(image: Tensor) -> Tensor:
    return image.contiguous(memory_format=torch.channels_last_3d)


BACKBONES: dict[str, Callable[[ModelConfig], nn.Module]] = {"segresnet": _segresnet}


def bottleneck_channels(settings: ModelConfig) -> int:
    """Channels after the last halving: filters double at each."""
    return settings.init_filters * settings.divisor // settings.stem


def build_network(settings: ModelConfig, *, n_classes: int, arm: Arm, seed: int) -> MultitaskNet:
    """A network with weights drawn from `seed`; both arms share the body's first weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = MultitaskNet(settings, n_classes=n_classes, arm=arm)
    return network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload, no-any-return]
