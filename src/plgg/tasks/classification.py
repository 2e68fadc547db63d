"""Classification loss: class-weighted cross-entropy, and the weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional


def marker_loss(
    logits: Float[Tensor, "batch classes"],
    marker: Int[Tensor, " batch"],
    weights: Float[Tensor, " classes"],
    *,
    n_known: int | None = None,
) -> Tensor:
    """Weighted cross-entropy over the samples whose marker is known (≥ 0).

    L = Σ w_c(n) · (-log softmax(logits)_c(n)) / N over the N known samples. Dividing by N rather
    than by Σ w keeps the weight of a rare class when a batch holds only that class.

    Args:
        logits: Raw output of the branch.
        marker: Class index, -1 where unknown.
        weights: w.
        n_known: N of the whole batch that this is a piece of; by default this is all of it.

    Returns:
        Scalar; 0 without gradient where no marker is known.
    """
    known = marker >= 0
    if not bool(known.any()):
        return logits.sum() * 0.0
    target = marker[known]
    loss = functional.cross_entropy(logits[known].float(), target, weight=weights, reduction="sum")
    return loss / (n_known or target.numel())


def class_weights(
    markers: Sequence[int], n_classes: int, *, mode: Literal["inverse", "none"] = "inverse"
) -> Float[Tensor, " classes"]:
    """N / n_c over the known markers of the training part, scaled to mean 1 over its samples.

    A class that does not occur gets weight 0: nothing can be learned of it.
    """
    known = torch.tensor([m for m in markers if m >= 0], dtype=torch.long)
    counts = torch.bincount(known, minlength=n_classes).float()
    if mode == "none" or not known.numel():
        return torch.ones(n_classes)
    weights = torch.where(counts > 0, known.numel() / counts.clamp(min=1), 0.0)
    return weights / (weights * counts / known.numel()).sum()
