"""From `loss.weighting` to a `Weighting`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from plgg.config import Arm, LossConfig
from plgg.train.weighting.aggregators import AGGREGATORS, aggregator
from plgg.train.weighting.cagrad import cagrad
from plgg.train.weighting.dwa import DynamicWeightAverage
from plgg.train.weighting.fixed import Fixed
from plgg.train.weighting.gradnorm import GradNorm
from plgg.train.weighting.joined import Joined
from plgg.train.weighting.proportional import Proportional
from plgg.train.weighting.uncertainty import Uncertainty
from plgg.train.weighting.weighting import Terms, Weighting


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
