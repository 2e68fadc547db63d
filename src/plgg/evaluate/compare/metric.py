"""Which metrics can be compared, and which direction of each is better."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Better = Literal["higher", "lower"]
HIGHER = ("dice", "soft_dice", "surface_dice", "n_lesions_found")
SHARES = ("dice", "soft_dice", "surface_dice")
LOWER = ("hd95_mm", "n_false_lesions")
# Signed errors: what counts is how far from zero they are.
TO_ZERO = ("volume_error_ml",)
# Of a task, written TASK:METRIC.
TASK_HIGHER = ("accuracy", "dice", "surface_dice")
TASK_LOWER = ("mae", "brier", "hd95_mm")


@dataclass(frozen=True)
class Metric:
    """A column of `cases.csv` that is compared.

    Attributes:
        name: Name of the column.
        better: Which direction is better; None where neither is.
        absolute: Whether its absolute value is compared.
        bounds: Its smallest and largest possible value; None where unknown.
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
    """The metric of a column; an unknown one has no better direction."""
    _, colon, of_task = name.partition(":")
    if colon and of_task in TASK_HIGHER:
        return Metric(name, "higher", bounds=(0.0, 1.0))
    if colon and of_task in TASK_LOWER:
        return Metric(name, "lower", bounds=(0.0, math.inf))
    if name in HIGHER:
        return Metric(name, "higher", bounds=(0.0, 1.0 if name in SHARES else math.inf))
    if name in LOWER:
        return Metric(name, "lower", bounds=(0.0, math.inf))
    zero = name in TO_ZERO or (colon and of_task in TO_ZERO)
    return Metric(name, "lower", absolute=True) if zero else Metric(name, None)
