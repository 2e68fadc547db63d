"""Which metrics there are and which direction is better. Knows nothing of how they are measured."""

from __future__ import annotations

import math
from dataclasses import dataclass

from plgg.compare.records import Better

HIGHER = ("dice", "soft_dice", "surface_dice", "n_lesions_found")
SHARES = ("dice", "soft_dice", "surface_dice")
LOWER = ("hd95_mm", "n_false_lesions")
# Signed errors: what counts is how far from zero they are.
TO_ZERO = ("volume_error_ml",)


@dataclass(frozen=True)
class Metric:
    """A column of `cases.csv` that is compared.

    Attributes:
        name: Name of the column.
        better: Which direction is better; None where neither is.
        absolute: Whether its absolute value is compared.
        bounds: Between which it lies; None where that is not known.
    """

    name: str
    better: Better | None
    absolute: bool = False
    bounds: tuple[float, float] | None = None

    @property
    def label(self) -> str:
        """The name as it is shown."""
        return f"|{self.name}|" if self.absolute else self.name


def find_metric(name: str) -> Metric:
    """A metric by the name of its column; one that is not known has no better direction."""
    if name in HIGHER:
        return Metric(name, "higher", bounds=(0.0, 1.0 if name in SHARES else math.inf))
    if name in LOWER:
        return Metric(name, "lower", bounds=(0.0, math.inf))
    return Metric(name, "lower", absolute=True) if name in TO_ZERO else Metric(name, None)
