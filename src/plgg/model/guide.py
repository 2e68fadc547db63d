"""What tells the outline the marker: a last layer for each class, mixed by their probabilities.

Source: B. Yang and others, CondConv: conditionally parameterized convolutions, NeurIPS 2019. Knows
nothing of where the probabilities come from.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

Features = Float[Tensor, "batch c i j k"]
Logits = Float[Tensor, "batch out i j k"]
Answer = Float[Tensor, "batch classes"]


class Guide(nn.Module):
    """Σ (p_k - 1/K)(W_k f + b_k) for features f and probabilities p of K classes; W, b begin at 0.

    It is added to what the common last layer says, which thereby is the mean of what it would say
    of each class: where no class is more probable than the others nothing is changed.

    Args:
        n_classes: Marker classes.
        channels: Of the features.
        out: Channels of the outline.
    """

    def __init__(self, n_classes: int, channels: int, out: int) -> None:
        super().__init__()
        self.n_classes, self.channels, self.out = n_classes, channels, out
        self.layers = nn.Linear(n_classes, out * (channels + 1), bias=False)
        nn.init.zeros_(self.layers.weight)

    def as_answer(self, told: Int[Tensor, " batch"]) -> Answer:
        """One certain class for each patch; where it is -1, each as probable as the others."""
        rows = functional.one_hot(told.clamp(min=0), self.n_classes).float()
        return torch.where((told >= 0)[:, None], rows, 1.0 / self.n_classes)

    def forward(self, features: Features, answer: Answer) -> Logits:
        """What the answer adds to the outline's logits."""
        with torch.autocast(features.device.type, enabled=False):
            layer = self.layers(answer.detach().float() - 1.0 / self.n_classes)
            layer = layer.view(len(answer), self.out, self.channels + 1)
            added: Tensor = layer[..., :-1] @ features.float().flatten(2) + layer[..., -1:]
            return added.view(-1, self.out, *features.shape[2:])
