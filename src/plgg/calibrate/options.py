"""The ways to make a mask among which the validation patients choose."""

from __future__ import annotations

from dataclasses import dataclass

from plgg.config import InferenceConfig

PLAIN_THRESHOLD = 0.5
PLAIN_SMALLEST_ML = 0.0
THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(4, 17))
SMALLEST_ML = (PLAIN_SMALLEST_ML, 0.1, 0.25, 0.5, 1.0)


@dataclass(frozen=True)
class Options:
    """Every threshold with every smallest part, both rising; the plain ones are among them.

    Attributes:
        thresholds: Probabilities from which a voxel is tumour.
        smallest_ml: Parts below are removed, unless they are all there is.
        set_threshold: As the settings want it; None leaves it to the patients.
        set_smallest_ml: Likewise.
    """

    thresholds: tuple[float, ...]
    smallest_ml: tuple[float, ...]
    set_threshold: float | None
    set_smallest_ml: float | None

    @property
    def plain(self) -> tuple[int, int]:
        """Place of 0.5 with all parts."""
        return self.thresholds.index(PLAIN_THRESHOLD), self.smallest_ml.index(PLAIN_SMALLEST_ML)

    @property
    def ranked(self) -> list[tuple[int, int]]:
        """Places of all that may be chosen, the plainest first: by steps from the plain one."""
        i0, j0 = self.plain
        allowed = [
            (i, j)
            for i, threshold in enumerate(self.thresholds)
            for j, smallest_ml in enumerate(self.smallest_ml)
            if self.set_threshold in (None, threshold)
            and self.set_smallest_ml in (None, smallest_ml)
        ]
        return sorted(allowed, key=lambda at: (abs(at[0] - i0) + abs(at[1] - j0), at))


def options_of(settings: InferenceConfig) -> Options:
    """What the settings leave open; what they fix is scored beside the plain."""

    def among(value: float | None, listed: tuple[float, ...], plain: float) -> tuple[float, ...]:
        return listed if value is None else tuple(sorted({value, plain}))

    return Options(
        among(settings.threshold, THRESHOLDS, PLAIN_THRESHOLD),
        among(settings.smallest_ml, SMALLEST_ML, PLAIN_SMALLEST_ML),
        settings.threshold,
        settings.smallest_ml,
    )
