"""Heads on the bottleneck for scalar tasks, and the class-conditioned segmentation layer.

Each input of a head has its own fully connected layers; their outputs are summed. The input
`average` is that of the paper, the others are additions.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from plgg.config import MarkerHeadConfig
from plgg.core.patient import PATIENT_INPUTS
from plgg.model.layers import SeededDropout, Standardise

N_TRAITS = 8
Features = Float[Tensor, "batch c i j k"]
Image = Float[Tensor, "batch channels x y z"]
Outline = Float[Tensor, "batch 1 x y z"]


class ScalarHead(nn.Module):
    """Head with one classifier for each input; their outputs are summed.

    Args:
        channels: Of the bottleneck.
        n_outputs: Number of outputs, such as the logits of the classes.
        settings: Inputs, widths, dropout, and whether features are standardised.
        divisors: Voxels of the image along each side of a voxel of the bottleneck.
    """

    def __init__(
        self,
        channels: int,
        n_outputs: int,
        settings: MarkerHeadConfig,
        *,
        divisors: tuple[int, int, int] = (8, 8, 8),
    ) -> None:
        super().__init__()
        self.divisors = divisors
        widths = {"tumour": N_TRAITS, "clinical": len(PATIENT_INPUTS)}
        self.n_outputs = n_outputs
        self.teaches_outline = settings.teaches_outline
        self.classifiers = nn.ModuleDict(
            {
                name: _classifier(widths.get(name, channels), n_outputs, settings)
                for name in settings.inputs
            }
        )
        if "attention" in settings.inputs:
            self.attention = nn.Conv3d(channels, 1, kernel_size=1)
            # Attention starts as the average.
            nn.init.zeros_(self.attention.weight)

    def forward(
        self,
        bottleneck: Features,
        image: Image,
        segmentation: Image,
        patient: Float[Tensor, "batch 4"] | None = None,
    ) -> Float[Tensor, "batch classes"]:
        """Outputs, such as the logits of the classes.

        Args:
            bottleneck: Deepest features of the encoder.
            image: The network's input, z-scores, 0 outside the brain.
            segmentation: Logits of the segmentation head.
            patient: `plgg.core.patient.patient_inputs`; without it, only the image counts.
        """
        # In float32: averages over thousands of bf16 terms would lose the small differences.
        outline = segmentation if self.teaches_outline else segmentation.detach()
        with torch.autocast(bottleneck.device.type, enabled=False):
            logits = bottleneck.new_zeros((len(bottleneck), self.n_outputs), dtype=torch.float32)
            for name in self.classifiers:
                if name != "clinical":
                    seen = self._input(name, bottleneck.float(), image, outline)
                    logits = logits + self.classifiers[name](seen)
            return logits if patient is None else logits + self.known(patient)

    def known(self, patient: Float[Tensor, "batch 4"]) -> Float[Tensor, "batch classes"]:
        """The part of the outputs from age and sex; 0 for a head without them."""
        if "clinical" not in self.classifiers:
            return patient.new_zeros((len(patient), self.n_outputs))
        logits: Tensor = self.classifiers["clinical"](patient)
        return logits

    def _input(self, name: str, bottleneck: Features, image: Image, outline: Image) -> Tensor:
        """Features of one input of the head, shape (batch, width)."""
        if name == "tumour":
            return tumour_traits(image, outline)
        if name == "average":
            return bottleneck.mean(dim=(2, 3, 4))
        if name == "attention":
            return _averaged(bottleneck, self.attention(bottleneck).flatten(2).softmax(dim=2))
        seen = outline.float().sigmoid() * (one_channel(image) != 0)
        inside = functional.avg_pool3d(seen, self.divisors).flatten(2)
        # Without tumour, all voxels have the same weight.
        weights = inside + 1e-3
        return _averaged(bottleneck, weights / weights.sum(dim=2, keepdim=True))


def _averaged(features: Features, weights: Float[Tensor, "batch 1 n"]) -> Float[Tensor, "batch c"]:
    """Weighted averages over space, the weights summing to 1."""
    return (features.flatten(2) * weights).sum(dim=2)


def _classifier(width: int, n_outputs: int, settings: MarkerHeadConfig) -> nn.Sequential:
    """Fully connected layers with ReLU and dropout."""
    layers: list[nn.Module] = [Standardise(width)] if settings.normalise else []
    for hidden in settings.hidden:
        layers += [nn.Linear(width, hidden), nn.ReLU(), SeededDropout(settings.dropout)]
        width = hidden
    return nn.Sequential(*layers, nn.Linear(width, n_outputs))


def one_channel(image: Image) -> Outline:
    """Mean of the sequences that are present; a single sequence is unchanged."""
    if image.shape[1] == 1:
        return image
    there = (image != 0).flatten(2).any(dim=2).sum(dim=1).clamp(min=1)
    return image.sum(dim=1, keepdim=True) / there.view(-1, 1, 1, 1, 1)


def tumour_traits(image: Image, segmentation: Outline) -> Float[Tensor, "batch traits"]:
    """Features of the segmented tumour: position, size, brightness and heterogeneity.

    Distance from the midplane, position front to back and bottom to top (in standard deviations of
    the brain's extent from its centre); log of the share of the brain; mean and standard deviation
    of the z-scores; shares darker than the brain's mean and brighter than 2 σ. They are weighted by
    the probability of tumour; without tumour they are those of the whole brain. They are meant for
    whole brains, because in a patch the position is relative to the patch.

    Returns:
        Eight traits, in the order above.
    """
    image = one_channel(image).float()
    brain = (image != 0).float()
    brain = brain / brain.sum(dim=(2, 3, 4), keepdim=True).clamp(min=1.0)
    seen = torch.sigmoid(segmentation.float()) * (image != 0)
    size = seen.sum(dim=(2, 3, 4), keepdim=True)
    weight = (seen + brain) / (size + 1.0)

    def mean(values: Tensor, weights: Tensor) -> Tensor:
        return (values * weights).sum(dim=(1, 2, 3, 4))

    places = []
    for axis, n in enumerate(image.shape[2:]):
        view = [n if other == axis + 2 else 1 for other in range(5)]
        line = torch.arange(n, device=image.device, dtype=torch.float32).view(view)
        centre = mean(line, brain)
        extent = (mean(line * line, brain) - centre * centre).clamp(min=1.0).sqrt()
        places.append((mean(line, weight) - centre) / extent)
    places[0] = places[0].abs()
    bright = mean(image, weight)
    spread = (mean(image * image, weight) - bright * bright).clamp(min=0.0).sqrt()
    share = torch.log10((size * brain.amax(dim=(2, 3, 4), keepdim=True)).flatten() + 1e-4)
    dark, light = mean((image < 0).float(), weight), mean((image > 2).float(), weight)
    return torch.stack([*places, share, bright, spread, dark, light], dim=1)


Logits = Float[Tensor, "batch out i j k"]
Answer = Float[Tensor, "batch classes"]


class Guide(nn.Module):
    """Σ (p_k - 1/K)(W_k f + b_k) for features f and probabilities p of K classes; W, b begin at 0.

    It is added to the output of the last segmentation layer, which is thus the mean of the outputs
    for each class: where all classes are equally probable, nothing is added.

    Args:
        n_classes: Marker classes.
        channels: Of the features.
        out: Channels of the segmentation logits.
    """

    def __init__(self, n_classes: int, channels: int, out: int) -> None:
        super().__init__()
        self.n_classes, self.channels, self.out = n_classes, channels, out
        self.layers = nn.Linear(n_classes, out * (channels + 1), bias=False)
        nn.init.zeros_(self.layers.weight)

    def as_answer(self, conditioning_class: Int[Tensor, " batch"]) -> Answer:
        """One-hot probabilities of known classes; uniform where the class is -1."""
        rows = functional.one_hot(conditioning_class.clamp(min=0), self.n_classes).float()
        return torch.where((conditioning_class >= 0)[:, None], rows, 1.0 / self.n_classes)

    def forward(self, features: Features, answer: Answer) -> Logits:
        """The term that is added to the segmentation logits."""
        with torch.autocast(features.device.type, enabled=False):
            layer = self.layers(answer.detach().float() - 1.0 / self.n_classes)
            layer = layer.view(len(answer), self.out, self.channels + 1)
            added: Tensor = layer[..., :-1] @ features.float().flatten(2) + layer[..., -1:]
            return added.view(-1, self.out, *features.shape[2:])
