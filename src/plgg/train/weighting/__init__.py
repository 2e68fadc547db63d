"""How two tasks are weighed against each other: `loss.weighting` by name."""

from plgg.train.weighting.build import make_weighting
from plgg.train.weighting.weighting import Weighting

__all__ = ["Weighting", "make_weighting"]
