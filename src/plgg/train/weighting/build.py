"""From `loss.weighting` to a `Weighting`."""

from __future__ import annotations

from collections.abc import Callable

from plgg.config import Arm, LossConfig
from plgg.train.weighting.fixed import Fixed
from plgg.train.weighting.weighting import Terms, Weighting


def make_weighting(settings: LossConfig, arm: Arm) -> Weighting:
    """The weighting that is set; a single task has weight 1 whatever is set."""
    if arm == "single":
        return Fixed({"segmentation": 1.0})
    base = {"segmentation": 1.0, "marker": settings.marker_weight}
    return WEIGHTINGS[settings.weighting](base, settings)


WEIGHTINGS: dict[str, Callable[[Terms, LossConfig], Weighting]] = {
    "fixed": lambda base, _: Fixed(base),
}
