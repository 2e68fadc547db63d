"""From `loss.weighting` to a `Weighting`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from plgg.config import Arm, LossConfig
from plgg.tasks.weighting.base import Terms, Weighting
from plgg.tasks.weighting.gradient_surgery import AGGREGATORS, Joined, aggregator, cagrad
from plgg.tasks.weighting.gradnorm import GradNorm
from plgg.tasks.weighting.loss_balancing import (
    DynamicWeightAverage,
    Fixed,
    Proportional,
    Uncertainty,
)


def make_weighting(settings: LossConfig, arm: Arm) -> Weighting:
    """The weighting that is set.

    A single task has weight 1 whatever is set, and λ = 0 leaves the marker out whatever is set.

    Raises:
        ConfigError: If a package that it needs is not installed.
    """
    if arm == "single":
        return Fixed({"segmentation": 1.0})
    base = {"segmentation": 1.0, "marker": settings.marker_weight}
    if not settings.marker_weight:
        return Fixed(base)
    return WEIGHTINGS[settings.weighting](base, settings)


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
    return Joined(base, partial(cagrad, c=settings.cagrad_c))


def _aggregated(base: Terms, settings: LossConfig) -> Weighting:
    return Joined(base, aggregator(settings.weighting))


WEIGHTINGS: dict[str, Callable[[Terms, LossConfig], Weighting]] = {
    "fixed": lambda base, _: Fixed(base),
    "proportional": _proportional,
    "uncertainty": _uncertainty,
    "dwa": _dwa,
    "gradnorm": _gradnorm,
    "cagrad": _cagrad,
    **dict.fromkeys(AGGREGATORS, _aggregated),
}
