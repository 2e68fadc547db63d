"""`Estimate`: a number with the ends of its 95 % interval.

>>> Estimate(0.8, 0.7, 0.9, n=12).ends
(0.7, 0.9)
>>> Estimate(0.8, note="needs two patients or more").ends is None
True
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval; None where undefined.

    Attributes:
        value: The number.
        low: Lower end of the interval.
        high: Upper end.
        n: Number of cases or patients; None where the context gives it.
        note: Why an end is undefined; None where both are defined.
        method: Method of the interval; blank where the context gives it.
        n_undefined: Resamples on which the number was undefined; they were left out.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    note: str | None = None
    method: str = ""
    n_undefined: int = 0

    @property
    def ends(self) -> tuple[float, float] | None:
        """Both ends; None where one is undefined."""
        return None if self.low is None or self.high is None else (self.low, self.high)

    def mapped(self, transform: Callable[[float], float]) -> Estimate:
        """Apply an increasing function to number and ends, such as from logarithms to ratios."""
        value, low, high = (
            None if number is None else transform(number)
            for number in (self.value, self.low, self.high)
        )
        return replace(self, value=value, low=low, high=high)
