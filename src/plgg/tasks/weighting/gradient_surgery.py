"""Combination of the tasks' gradients on the shared encoder: CAGrad, and torchjd's aggregators."""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib import import_module
from types import ModuleType

import torch
from jaxtyping import Float
from torch import Tensor

from plgg.core.errors import ConfigError
from plgg.tasks.weighting.base import Terms


def aggregator(name: str) -> Factors:
    """An aggregator of `AGGREGATORS`, as a function of the inner products only.

    Raises:
        ConfigError: If torchjd, or what it needs for this one, is not installed.
    """
    make, averages = AGGREGATORS[name]
    try:
        weigh = make(import_module("torchjd.aggregation"))
    except ImportError as error:
        raise ConfigError(
            f"loss.weighting={name} needs the package torchjd",
            remedy='pip install "plgg[weighting]".',
        ) from error

    def factors(products: Gramian) -> Float[Tensor, " tasks"]:
        # PCGrad draws an order of the tasks. With a seed of its own the global generator is not
        # changed, and a resumed run draws the same.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return (len(products) if averages else 1.0) * weigh(products)

    return factors


def _upgrad(torchjd: ModuleType) -> Callable[[Gramian], Tensor]:
    projector = import_module("torchjd.linalg").QuadprogProjector
    # The default, 1e-4 of the squared norms, would drown a gradient that is a hundredth of the
    # other; in float64 the solver is stable with far less.
    found: Callable[[Gramian], Tensor] = torchjd.UPGradWeighting(projector=projector(reg_eps=1e-12))
    return found


AGGREGATORS: dict[str, tuple[Callable[[ModuleType], Callable[[Gramian], Tensor]], bool]] = {
    # Those that average are scaled by the number of tasks, to be comparable with the plain sum.
    "upgrad": (_upgrad, True),
    "pcgrad": (lambda torchjd: torchjd.PCGradWeighting(), False),
    "mgda": (lambda torchjd: torchjd.MGDAWeighting(), True),
    "imtlg": (lambda torchjd: torchjd.IMTLGWeighting(), True),
    "alignedmtl": (lambda torchjd: torchjd.AlignedMTLWeighting(), True),
}


def cagrad(products: Float[Tensor, "2 2"], c: float) -> Float[Tensor, " 2"]:
    """Factors on two gradients by conflict-averse gradient descent.

    Liu, Liu, Jin, Stone and Liu, NeurIPS 2021, https://arxiv.org/abs/2110.14048, algorithm 1:
    within a ball of radius c · |g₀| about the mean g₀, the gradient with the largest improvement of
    the worst task. It is g₀ + c · |g₀| · g_w / |g_w|, where g_w = w · g₁ + (1 − w) · g₂ minimises
    g_w · g₀ + c · |g₀| · |g_w| over 0 ≤ w ≤ 1.

    Args:
        products: Inner products of the gradients.
        c: Radius of the ball over |g₀|; 0 is the plain sum.

    Returns:
        2 / (1 + c) times the factors of the paper, which are ones for equal gradients, so that c
        rotates the gradient but does not lengthen it. Ones also where g_w is almost 0; then the
        sum or one of the gradients is almost 0, too.
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


Gramian = Float[Tensor, "tasks tasks"]
Factors = Callable[[Gramian], Float[Tensor, " tasks"]]
"""Maps inner products of the gradients (trace 1, float64) to a factor for each gradient."""


class JoinedGradient:
    """The gradient Σ c_k · g_k on the encoder, c from the inner products of the weighted g_k.

    Where a task has no gradient (its labels are unknown in the whole batch), or one is not finite,
    the plain sum is taken; the training stops if that is not finite.

    Args:
        weights: Of each task.
        factors: The method; scaled such that it gives ones where there is nothing to change.
    """

    separate = True

    def __init__(self, weights: Terms, factors: Factors) -> None:
        self._weights, self._factors = dict(weights), factors

    def weights(self) -> dict[str, float]:
        """Factor on each task's loss."""
        return dict(self._weights)

    def combine(self, gradients: Float[Tensor, "tasks n"]) -> Float[Tensor, " n"]:
        """Sum of the gradients with the method's factors."""
        products = gramian(gradients)
        trace = float(products.trace())
        # No method can handle a norm that is 0 or not finite.
        if not 0.0 < trace < float("inf") or not bool((products.diagonal() > 0.0).all()):
            return gradients.sum(dim=0)
        return self._factors(products / trace).to(gradients) @ gradients

    def after_step(self, losses: Terms, norms: Terms | None) -> None:
        """Nothing changes."""

    def after_epoch(self, losses: Terms) -> None:
        """Nothing changes."""

    def state(self) -> dict[str, float]:
        """Nothing to keep."""
        return {}

    def restore(self, state: Terms) -> None:
        """Nothing was kept."""


def gramian(gradients: Float[Tensor, "tasks n"]) -> Gramian:
    """Inner products of the rows, on the CPU, in float64, with cosines clipped to ±1."""
    # Sums of products, not a matrix product: some devices round its factors.
    rows = torch.stack([(gradients * row).sum(dim=1) for row in gradients])
    products = rows.to(device="cpu").double()
    lengths = products.diagonal().sqrt()
    largest = torch.outer(lengths, lengths)
    return products.clamp(-largest, largest)
