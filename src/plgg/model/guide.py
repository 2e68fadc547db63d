"""What tells the decoder the marker: features scaled and shifted by the classes' probabilities.

Source: E. Perez and others, FiLM: visual reasoning with a general conditioning layer, AAAI 2018.
Knows nothing of where the probabilities come from.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

Features = Float[Tensor, "batch c i j k"]
Answer = Float[Tensor, "batch classes"]


class Guide(nn.Module):
    """f · (1 + W p) + V p for features f and probabilities p; W and V begin at 0, without a bias.

    So a row of zeros, nothing told, leaves the features as they are.

    Args:
        n_classes: Marker classes.
        channels: Of the features.
    """

    def __init__(self, n_classes: int, channels: int) -> None:
        super().__init__()
        self.n_classes = n_classes
        self.weights = nn.Linear(n_classes, 2 * channels, bias=False)
        nn.init.zeros_(self.weights.weight)

    def as_answer(self, told: Int[Tensor, " batch"]) -> Answer:
        """One certain class for each patch, or a row of zeros where it is -1."""
        rows: Tensor = functional.one_hot(told.clamp(min=0), self.n_classes)
        return rows * (told >= 0)[:, None]

    def forward(self, features: Features, answer: Answer) -> Features:
        """The features, told the answer."""
        with torch.autocast(features.device.type, enabled=False):
            both = self.weights(answer.detach().float())[..., None, None, None]
            scale, shift = both.chunk(2, dim=1)
            guided: Tensor = features.float() * (1.0 + scale) + shift
            return guided.to(features.dtype)
