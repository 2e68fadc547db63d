"""CAGrad for two tasks, exactly: its problem has one unknown, so no solver is needed."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor


def cagrad(products: Float[Tensor, "2 2"], c: float) -> Float[Tensor, " 2"]:
    """Factors on two gradients by conflict-averse gradient descent.

    Liu, Liu, Jin, Stone and Liu, NeurIPS 2021, https://arxiv.org/abs/2110.14048, algorithm 1:
    within a ball of radius c · |g₀| about the mean g₀, the gradient that serves the worse served
    task best. It is g₀ + c · |g₀| · g_w / |g_w|, where g_w = w · g₁ + (1 − w) · g₂ minimises
    g_w · g₀ + c · |g₀| · |g_w| over 0 ≤ w ≤ 1.

    Args:
        products: Inner products of the gradients.
        c: Radius of the ball over |g₀|; 0 is the plain sum.

    Returns:
        2 / (1 + c) times the factors of the paper: ones where both gradients are the same, so that
        c turns the gradient but does not lengthen it. Ones also where g_w is next to nothing: then
        so is the sum, or one of the gradients.
    """
    (first, both), (_, second) = products.tolist()
    radius = c * math.sqrt(max(first + 2.0 * both + second, 0.0)) / 2.0
    share = _share(first, both, second, radius)
    other = 1.0 - share
    length = share * share * first + 2.0 * share * other * both + other * other * second
    if length <= _NOTHING * (first + second):
        return products.new_ones(2)
    pull = 2.0 * radius / math.sqrt(length)
    return (1.0 + pull * torch.tensor([share, other], dtype=products.dtype)) / (1.0 + c)


_NOTHING = 1e-12  # a squared length that is rounding


def _share(first: float, both: float, second: float, radius: float) -> float:
    """The w, from where the derivative of that convex function is 0."""
    # With d = g₁ − g₂: g_w · d = start + w · square, and |g_w|² = (g_w · d)² / square + offset.
    square = first - 2.0 * both + second
    slope = (first - second) / 2.0  # g₀ · d
    if square <= _NOTHING * (first + second):
        return 0.5
    # The derivative is slope + radius · (g_w · d) / |g_w|, and the last fraction within ±√square.
    if abs(slope) >= radius * math.sqrt(square):
        return 0.0 if slope > 0.0 else 1.0
    start = both - second
    offset = max(second - start * start / square, 0.0)
    cosine = -slope / radius
    along = cosine * math.sqrt(offset / (1.0 - cosine * cosine / square))
    return min(max((along - start) / square, 0.0), 1.0)
