"""Build the `Weighting` that `loss.weighting` names."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from plgg.config import LossConfig
from plgg.core.errors import ConfigError
from plgg.tasks.weighting.base import Terms, Weighting
from plgg.tasks.weighting.gradient_surgery import AGGREGATORS, JoinedGradient, aggregator, cagrad
from plgg.tasks.weighting.gradnorm import GradNorm
from plgg.tasks.weighting.loss_balancing import (
    DynamicWeightAverage,
    FixedWeights,
    Proportional,
    Uncertainty,
)


def make_weighting(settings: LossConfig, weights: Terms) -> Weighting:
    """Build the weighting that is set.

    Weights are fixed, whatever is set, with a single task or if all tasks but the first have the
    weight 0.

    Args:
        settings: The method and its parameters.
        weights: Initial weight of each task, the segmentation first.

    Raises:
        ConfigError: If a package that it needs is not installed, or it cannot weigh these tasks.
    """
    _, *others = weights.values()
    if not any(others) or settings.weighting == "fixed":
        return FixedWeights(weights)
    if not all(weights.values()):
        raise ConfigError(
            f"loss.weighting={settings.weighting} cannot weigh a task of weight 0",
            remedy="Leave the task out, or set loss.weighting=fixed.",
        )
    if settings.weighting == "cagrad" and len(weights) > 2:
        raise ConfigError(
            f"loss.weighting=cagrad joins two tasks, and there are {len(weights)}",
            remedy="Choose another loss.weighting, such as upgrad, or two tasks.",
        )
    return WEIGHTINGS[settings.weighting](weights, settings)


def _proportional(base: Terms, settings: LossConfig) -> Weighting:
    return Proportional(base, settings.weight_limit)


def _uncertainty(base: Terms, settings: LossConfig) -> Weighting:
    return Uncertainty(base, rate=settings.uncertainty_rate, limit=settings.weight_limit)


def _dwa(base: Terms, settings: LossConfig) -> Weighting:
    return DynamicWeightAverage(base, settings.dwa_temperature)


def _gradnorm(base: Terms, settings: LossConfig) -> Weighting:
    return GradNorm(
        base,
        alpha=settings.gradnorm_alpha,
        rate=settings.gradnorm_rate,
        limit=settings.weight_limit,
    )


def _cagrad(base: Terms, settings: LossConfig) -> Weighting:
    return JoinedGradient(base, partial(cagrad, c=settings.cagrad_c))


def _aggregated(base: Terms, settings: LossConfig) -> Weighting:
    return JoinedGradient(base, aggregator(settings.weighting))


WEIGHTINGS: dict[str, Callable[[Terms, LossConfig], Weighting]] = {
    "fixed": lambda base, _: FixedWeights(base),
    "proportional": _proportional,
    "uncertainty": _uncertainty,
    "dwa": _dwa,
    "gradnorm": _gradnorm,
    "cagrad": _cagrad,
    **dict.fromkeys(AGGREGATORS, _aggregated),
}
