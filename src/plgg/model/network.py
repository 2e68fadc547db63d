"""The multitask network: a shared backbone, and a dict of heads by task name.

The backbone encodes and decodes (`plgg.model.backbone`). The head `segmentation` reads the decoded
features, the heads of column tasks read the bottleneck (`plgg.model.classification_head`). The
pooled bottleneck is an output, too, to detect scans that are unlike the training scans.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Self

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from plgg.config import MARKER, SEGMENTATION, Arm, LossConfig, ModelConfig
from plgg.core.patient import patient_inputs
from plgg.model.backbone import build_backbone
from plgg.model.classification_head import Guide, ScalarHead
from plgg.model.layers import (
    FirstChannels,
    Reduce,
    SeededDropout,
    Standardise,
    channels_last,
    from_blocks,
    reinitialise,
    to_blocks,
    widen_input,
)
from plgg.tasks.base import AuxiliaryTask, BodySpec
from plgg.tasks.kinds import marker_record, restore_tasks
from plgg.tasks.mask_task import MaskTask, scan_level_tasks

Image = Float[Tensor, "batch c i j k"]
Outline = Float[Tensor, "batch r i j k"]
Tasks = Mapping[str, AuxiliaryTask]


def marker_alone(n_classes: int) -> dict[str, AuxiliaryTask]:
    """The marker as the only auxiliary task, as in the paper, with numbers as names of classes."""
    record = marker_record([str(number) for number in range(n_classes)])
    return restore_tasks({MARKER: record}, LossConfig())


class MultitaskNet(nn.Module):
    """An encoder shared by a decoder and, in the multitask arm, heads of auxiliary tasks.

    Args:
        settings: Settings of the backbone and of the heads.
        n_classes: Marker classes.
        arm: `single` has the segmentation head only.
        tasks: Auxiliary tasks of the multitask arm; by default the marker alone.
        n_sequences: MR sequences of the image, each with the neighbouring slices of the settings.
        n_outlines: Regions that are segmented, the whole tumour first.
    """

    def __init__(
        self,
        settings: ModelConfig,
        *,
        n_classes: int,
        arm: Arm,
        tasks: Tasks | None = None,
        n_sequences: int = 1,
        n_outlines: int = 1,
    ) -> None:
        super().__init__()
        self.divisors, self.stem, self.n_sequences = settings.divisors, settings.stem, n_sequences
        n_seen = n_sequences * (1 + 2 * settings.neighbours)
        n_planes = n_classes if settings.marker_planes else 0
        self.n_channels = n_seen + n_planes
        self.teaches_encoder = settings.marker.teaches_encoder
        # Gradient checkpointing: features are computed again in the backward pass, to save memory.
        self.checkpointing = False
        self.n_frozen = 0
        self.backbone: Any = build_backbone(settings, n_seen)
        out = n_outlines * settings.stem**3
        heads: dict[str, nn.Module] = {SEGMENTATION: self.backbone.head(out)}
        # Deep supervision at half, a quarter … of the resolution; used in training only.
        self.n_deep = settings.deep_supervision
        for level in range(1, self.n_deep + 1):
            heads[f"deep_{level}"] = nn.Conv3d(self.backbone.widths[level], out, kernel_size=1)
        learnt = marker_alone(n_classes) if tasks is None else tasks
        learnt = learnt if arm == "multitask" else {}
        self.auxiliary = tuple(scan_level_tasks(learnt))
        # Tasks whose target is computed from the mask; their heads are used in training only.
        self.of_mask = {n: t.reads for n, t in learnt.items() if isinstance(t, MaskTask)}
        body = _body_spec(self.backbone, settings, heads[SEGMENTATION], n_outlines)
        heads |= {name: task.head(body) for name, task in learnt.items()}
        self.heads = nn.ModuleDict(heads)
        guided = MARKER in self.auxiliary and settings.marker.guides_outline
        self.guide = Guide(n_classes, self.backbone.widths[0], out) if guided else None
        if n_planes:
            cells = settings.stem**3
            widen_input(self.backbone, n_seen * cells, n_planes * cells)

    def forward(
        self,
        image: Image,
        patient: Float[Tensor, "batch 4"] | None = None,
        conditioning_class: Int[Tensor, " batch"] | None = None,
    ) -> dict[str, Any]:
        """Logits by head, and the pooled bottleneck.

        Args:
            image: z-scores, the sides multiples of `divisors`; a missing sequence is 0. Planes of
                the true marker, where they are an input, come last (`plgg.data.inputs`).
            patient: Age and sex; without them the outputs depend on the image only.
            conditioning_class: Index of the class that conditions the segmentation in training, -1
                where it is unknown. In evaluation the marker head's own answer to the image is
                used. The marker head always gets the segmentation without the condition.

        Returns:
            segmentation: (batch, 1, i, j, k), or a channel for each region; marker: (batch,
            classes), in the multitask arm, and other column tasks likewise; in training also mask
            tasks, as maps (batch, 1, i, j, k) or for each layer of the bottleneck (batch, k);
            features: (batch, channels), float32 whatever the precision; deep, in training with
            deep supervision: a list of (batch, 1, i/2, j/2, k/2), (batch, 1, i/4, …), …
        """
        if self.checkpointing and self.training:
            outlines, maps, bottleneck, last = checkpoint(self._body, image, use_reentrant=False)
        else:
            outlines, maps, bottleneck, last = self._body(image)
        # Detached, because no loss depends on these features.
        features = bottleneck.detach().float().mean(dim=(2, 3, 4))
        outputs = {"segmentation": outlines[0], "features": features}
        if outlines[1:]:
            outputs["deep"] = outlines[1:]
        if self.training:
            outputs |= maps
            layered = [name for name, reads in self.of_mask.items() if reads == "bottleneck"]
            outputs |= {name: self.heads[name](bottleneck) for name in layered}
        own = image[:, : self.n_sequences]
        read = bottleneck if self.teaches_encoder else bottleneck.detach()
        for name in self.auxiliary:
            outputs[name] = self.heads[name](read, own, outlines[0][:, :1], patient)
        if self.guide is not None:
            # From the image only, without age and sex, which exported networks do not get.
            answer = (
                self.guide.as_answer(conditioning_class)
                if self.training and conditioning_class is not None
                else self.heads["marker"](read, own, outlines[0][:, :1]).softmax(dim=1)
            )
            outputs["segmentation"] = outlines[0] + self._whole(self.guide(last, answer))
        return outputs

    def known(self, patient: Float[Tensor, "batch 4"]) -> dict[str, Tensor]:
        """The part of each task's output from age and sex, (batch, n)."""
        heads: dict[str, Any] = {name: self.heads[name] for name in self.auxiliary}
        return {n: head.known(patient) for n, head in heads.items() if hasattr(head, "known")}

    def _body(self, image: Image) -> tuple[list[Tensor], dict[str, Tensor], Tensor, Tensor]:
        """Segmentation logits, finest first; maps of mask tasks; bottleneck; last features.

        Coarser logits and maps are computed in training only. The logits are not conditioned on
        the marker. The last features are the input of the last segmentation layer.
        """
        bottleneck, features = self.encode(image)
        decoded = self.backbone.decode(features)
        *before, layer = self.heads["segmentation"].children()
        last = nn.Sequential(*before)(decoded[-1])
        outlines = [layer(last)]
        if self.training:
            levels = range(1, self.n_deep + 1)
            outlines += [self.heads[f"deep_{level}"](decoded[-1 - level]) for level in levels]
        mapped = [name for name, reads in self.of_mask.items() if reads == "decoded"]
        maps = {n: self._whole(self.heads[n](decoded[-1])) for n in mapped if self.training}
        return [self._whole(outline) for outline in outlines], maps, bottleneck, last

    def _whole(self, outline: Tensor) -> Outline:
        """Channels back to blocks of voxels, if the network has a stem."""
        return from_blocks(outline, self.stem) if self.stem > 1 else outline

    def encode(self, image: Image) -> tuple[Tensor, list[Tensor]]:
        """Input of other heads, (batch, 8·filters, i/8, j/8, k/8) with 4 levels; all levels."""
        if self.stem > 1:
            blocks = to_blocks(image, self.stem)
            image = blocks.contiguous(memory_format=torch.channels_last_3d)
        features: list[Tensor] = self.backbone.encode(image)
        pooled = getattr(self.backbone, "pooled", None)
        return features[-1] if pooled is None else pooled(features), features

    def seed_dropout(self, seeds: Tensor, *, counted: bool = True) -> None:
        """Prepare for the next patches of a training step.

        Args:
            seeds: Seeds of dropout, one for each patch.
            counted: Whether these patches count in the running moments.
        """
        for module in self.modules():
            if isinstance(module, Standardise):
                module.counted = counted
        layers = [layer for layer in self.modules() if isinstance(layer, SeededDropout)]
        for number, layer in enumerate(layers):
            layer.draw(seeds, number)

    def update_running_stats(self, reduce: Reduce = lambda sums: sums) -> None:
        """Update the running moments after a training step."""
        for layer in self.modules():
            if isinstance(layer, Standardise):
                layer.update_running_stats(reduce)

    def encoder_parameters(self) -> list[nn.Parameter]:
        """Parameters of the encoder, which all tasks share."""
        stages = self.backbone.stages()
        return [p for stage in stages for layer in stage for p in layer.parameters()]

    def freeze(self, n_stages: int) -> None:
        """Freeze the first stages of the encoder, with their running moments."""
        self.n_frozen = n_stages
        for layer in self._frozen():
            layer.requires_grad_(requires_grad=False)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Set the mode; frozen stages stay in evaluation mode, with their running moments."""
        super().train(mode)
        for layer in self._frozen():
            layer.eval()
        return self

    def _frozen(self) -> list[nn.Module]:
        stages: list[list[nn.Module]] = self.backbone.stages()[: self.n_frozen]
        return [layer for stage in stages for layer in stage]


def _body_spec(
    backbone: Any,  # noqa: ANN401 - see `Backbone`
    settings: ModelConfig,
    outline: nn.Module,
    n_outlines: int,
) -> BodySpec:
    channels, divisors = getattr(backbone, "pooled_width", backbone.widths[-1]), settings.divisors

    def make_head(n_outputs: int) -> nn.Module:
        return ScalarHead(channels, n_outputs, settings.marker, divisors=divisors)

    def make_map() -> nn.Module:
        head = reinitialise(deepcopy(outline))
        # A map has one channel, whatever the outline has.
        return head if n_outlines == 1 else nn.Sequential(head, FirstChannels(settings.stem**3))

    return BodySpec(channels, divisors, make_head, make_map)


def build_network(
    settings: ModelConfig,
    *,
    n_classes: int,
    arm: Arm,
    seed: int,
    tasks: Tasks | None = None,
    n_sequences: int = 1,
    n_outlines: int = 1,
) -> MultitaskNet:
    """Build a network, initialised by `seed`; both arms have the same initial backbone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = MultitaskNet(
            settings,
            n_classes=n_classes,
            arm=arm,
            tasks=tasks,
            n_sequences=n_sequences,
            n_outlines=n_outlines,
        )
    return channels_last(network)


def patient_outputs(
    network: MultitaskNet, age_years: float | None, sex: str | None
) -> dict[str, NDArray[np.float64]]:
    """The part of each task's output from age and sex, shape (n,).

    It does not depend on the image, so engines run without it. Empty in the single arm.
    """
    device = next(network.parameters()).device
    patient = torch.from_numpy(patient_inputs(age_years, sex))[None].to(device)
    with torch.inference_mode():
        added = network.known(patient)
    return {name: values[0].double().cpu().numpy() for name, values in added.items()}
