"""Which metrics there are and which direction is better. Knows nothing of how they are measured."""

from __future__ import annotations

from dataclasses import dataclass

from plgg.compare.records import Better

HIGHER = ("dice", "soft_dice", "surface_dice", "n_lesions_found")
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
    """

    name: str
    better: Better | None
    absolute: bool = False

    @property
    def label(self) -> str:
        """The name as it is shown."""
        return f"|{self.name}|" if self.absolute else self.name


def find_metric(name: str) -> Metric:
    """A metric by the name of its column; one that is not known has no better direction."""
    if name in HIGHER:
        return Metric(name, "higher")
    if name in LOWER:
        return Metric(name, "lower")
    return Metric(name, "lower", absolute=True) if name in TO_ZERO else Metric(name, None)
