"""The multitask network: a shared body, heads as a named dict.

The body encodes and decodes (`plgg.model.backbone`); `segmentation` reads the decoded features,
`marker` (`plgg.model.classification_head`) the bottleneck. The pooled bottleneck is given as well:
it tells whether a scan is like those of the training.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from monai.networks.utils import pixelshuffle, pixelunshuffle
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from plgg.config import Arm, ModelConfig
from plgg.core.patient import patient_inputs
from plgg.model.backbone import BACKBONES, bottleneck_channels, decode, encoder_stages
from plgg.model.classification_head import Guide, MarkerHead
from plgg.model.layers import Reduce, SeededDropout, Standardise

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
        # Whether inner features are computed again in the backward pass rather than kept.
        self.checkpointing = False
        self.backbone = BACKBONES["segresnet"](settings)
        # The backbone's own last layer is the segmentation head.
        heads: dict[str, nn.Module] = {"segmentation": self.backbone.get_submodule("conv_final")}
        self.backbone.set_submodule("conv_final", nn.Identity())
        # Outlines at half, a quarter … of the resolution; used in training alone.
        self.n_deep = settings.deep_supervision
        for level in range(1, self.n_deep + 1):
            width = settings.init_filters * 2**level
            heads[f"deep_{level}"] = nn.Conv3d(width, settings.stem**3, kernel_size=1)
        if arm == "multitask":
            channels = bottleneck_channels(settings)
            heads["marker"] = MarkerHead(
                channels, n_classes, settings.marker, divisor=settings.divisor
            )
        self.heads = nn.ModuleDict(heads)
        guided = arm == "multitask" and settings.marker.guides_outline
        width, out = settings.init_filters, settings.stem**3
        self.guide = Guide(n_classes, width, out) if guided else None

    def forward(
        self,
        image: Image,
        patient: Float[Tensor, "batch 4"] | None = None,
        told: Int[Tensor, " batch"] | None = None,
    ) -> dict[str, Any]:
        """Logits by head, and the pooled bottleneck.

        Args:
            image: z-scores, every side a multiple of `divisor`.
            patient: Age and sex; without them the marker is what the image alone says.
            told: Index of the class that a guided outline is told in training, -1 where it is
                unknown. After training it is told the branch's own answer to the image. The branch
                itself always looks at the outline that was told nothing.

        Returns:
            segmentation: (batch, 1, i, j, k); marker: (batch, classes), in the multitask arm;
            features: (batch, channels), float32 whatever the precision; deep, in training with
            deep supervision: a list of (batch, 1, i/2, j/2, k/2), (batch, 1, i/4, …), …
        """
        if self.checkpointing and self.training:
            outlines, bottleneck, last = checkpoint(self._body, image, use_reentrant=False)
        else:
            outlines, bottleneck, last = self._body(image)
        # Detached: no loss may come to rest on what is only looked at.
        features = bottleneck.detach().float().mean(dim=(2, 3, 4))
        outputs = {"segmentation": outlines[0], "features": features}
        if outlines[1:]:
            outputs["deep"] = outlines[1:]
        if "marker" in self.heads:
            outputs["marker"] = self.heads["marker"](bottleneck, image, outlines[0], patient)
        if self.guide is not None:
            # By the image alone, whatever is known of the patient: exported networks know no more.
            answer = (
                self.guide.as_answer(told)
                if self.training and told is not None
                else self.heads["marker"](bottleneck, image, outlines[0]).softmax(dim=1)
            )
            outputs["segmentation"] = outlines[0] + self._whole(self.guide(last, answer))
        return outputs

    def known(self, patient: Float[Tensor, "batch 4"]) -> Float[Tensor, "batch classes"] | None:
        """The logits that age and sex add to those of an image; None in the single arm."""
        if "marker" not in self.heads:
            return None
        head: Any = self.heads["marker"]
        logits: Tensor = head.known(patient)
        return logits

    def _body(self, image: Image) -> tuple[list[Tensor], Tensor, Tensor]:
        """Outlines, the finest first; the bottleneck; what the finest one's last layer sees.

        The coarse ones are given in training alone. No outline has been told the marker.
        """
        bottleneck, skips = self.encode(image)
        decoded = decode(self.backbone, bottleneck, skips)
        *before, layer = self.heads["segmentation"].children()
        last = nn.Sequential(*before)(decoded[-1])
        outlines = [layer(last)]
        if self.training:
            levels = range(1, self.n_deep + 1)
            outlines += [self.heads[f"deep_{level}"](decoded[-1 - level]) for level in levels]
        return [self._whole(outline) for outline in outlines], bottleneck, last

    def _whole(self, outline: Tensor) -> Image:
        """Channels given back as blocks of voxels."""
        return pixelshuffle(outline, 3, self.stem) if self.stem > 1 else outline

    def encode(self, image: Image) -> tuple[Tensor, list[Tensor]]:
        """The bottleneck, (batch, 8·filters, i/8, j/8, k/8) with 4 levels, and the skips."""
        backbone: Any = self.backbone
        if self.stem > 1:
            blocks = pixelunshuffle(image, 3, self.stem)
            image = blocks.contiguous(memory_format=torch.channels_last_3d)
        bottleneck, skips = backbone.encode(image)
        return bottleneck, list(skips)

    def expect(self, seeds: Tensor, *, counted: bool = True) -> None:
        """Prepare for the next patches of a training step.

        Args:
            seeds: What dropout draws from, one for each patch.
            counted: Whether the running moments take them in.
        """
        for module in self.modules():
            if isinstance(module, Standardise):
                module.counted = counted
        layers = [layer for layer in self.modules() if isinstance(layer, SeededDropout)]
        for number, layer in enumerate(layers):
            layer.draw(seeds, number)

    def commit(self, reduce: Reduce = lambda sums: sums) -> None:
        """Take what a training step showed into the running moments."""
        for layer in self.modules():
            if isinstance(layer, Standardise):
                layer.commit(reduce)

    def encoder_parameters(self) -> list[nn.Parameter]:
        """What both tasks share."""
        stages = encoder_stages(self.backbone)
        return [p for stage in stages for layer in stage for p in layer.parameters()]

    def freeze(self, n_stages: int) -> None:
        """Keep the first stages of the encoder, from the image on, as they are."""
        for stage in encoder_stages(self.backbone)[:n_stages]:
            for layer in stage:
                layer.requires_grad_(requires_grad=False)


def build_network(settings: ModelConfig, *, n_classes: int, arm: Arm, seed: int) -> MultitaskNet:
    """A network with weights drawn from `seed`; both arms share the body's first weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = MultitaskNet(settings, n_classes=n_classes, arm=arm)
    return network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload, no-any-return]


def patient_logits(
    network: MultitaskNet, age_years: float | None, sex: str | None
) -> NDArray[np.float64] | None:
    """What age and sex add to the marker's logits of an image, shape (classes,).

    It is the same for every image, so engines need not know of it. None in the single arm.
    """
    device = next(network.parameters()).device
    patient = torch.from_numpy(patient_inputs(age_years, sex))[None].to(device)
    with torch.inference_mode():
        logits = network.known(patient)
    return None if logits is None else logits[0].double().cpu().numpy()
