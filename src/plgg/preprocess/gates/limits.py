"""Limits of a gate's value: `good` in the inner range, `doubtful` in the outer, else `failed`."""

from __future__ import annotations

import math
from dataclasses import dataclass

from plgg.data.quality import Status

_INF = math.inf


@dataclass(frozen=True)
class Limits:
    """Two nested ranges; an open end is infinite.

    Attributes:
        good: Lowest and highest value that is good.
        usable: Lowest and highest value that is doubtful rather than failed.
        unit: Shown after numbers.
    """

    good: tuple[float, float]
    usable: tuple[float, float] = (-_INF, _INF)
    unit: str = ""

    def status(self, value: float) -> Status:
        """Status of a value; NaN is `failed`."""
        if self.good[0] <= value <= self.good[1]:
            return "good"
        return "doubtful" if self.usable[0] <= value <= self.usable[1] else "failed"

    def words(self) -> str:
        """The good range as text."""
        low, high = self.good
        if math.isinf(high):
            return f"{low:g}{self.unit} or more"
        if math.isinf(low):
            return f"{high:g}{self.unit} or less"
        return f"{low:g} to {high:g}{self.unit}"


def at_least(good: float, usable: float, unit: str = "") -> Limits:
    """Lower limits only."""
    return Limits((good, _INF), (usable, _INF), unit)


def at_most(good: float, usable: float, unit: str = "") -> Limits:
    """Upper limits only."""
    return Limits((-_INF, good), (-_INF, usable), unit)
