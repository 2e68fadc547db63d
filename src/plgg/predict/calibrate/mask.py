"""The mask rule: threshold and smallest component, chosen on validation patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plgg.config import EXPECTED_DICE, InferenceConfig, Threshold
from plgg.data.calibration import MaskRule
from plgg.measure.components import remove_small_components
from plgg.measure.outline import DEFAULT_THRESHOLD, outlined
from plgg.measure.uncertainty import MIN_PROBABILITY
from plgg.metrics.overlap import hard_dice, volume_ml

PLAIN_SMALLEST_ML = 0.0
THRESHOLDS: tuple[Threshold, ...] = (
    *(round(0.05 * step, 2) for step in range(4, 17)),
    EXPECTED_DICE,
)
SMALLEST_ML = (PLAIN_SMALLEST_ML, 0.1, 0.25, 0.5, 1.0)


@dataclass(frozen=True)
class Options:
    """Search grid of the mask rule: thresholds and smallest components, both ascending.

    Attributes:
        thresholds: Probabilities from which a voxel is tumour; `EXPECTED_DICE`, which chooses one
            for each scan, is last.
        smallest_ml: Smaller components are removed; if all are smaller, the largest stays.
        set_threshold: Fixed by the settings; None if it is chosen on the patients.
        set_smallest_ml: Likewise.
    """

    thresholds: tuple[Threshold, ...]
    smallest_ml: tuple[float, ...]
    set_threshold: Threshold | None
    set_smallest_ml: float | None

    @property
    def plain(self) -> tuple[int, int]:
        """Indices of the default: threshold 0.5, no component removed."""
        return self.thresholds.index(DEFAULT_THRESHOLD), self.smallest_ml.index(PLAIN_SMALLEST_ML)

    @property
    def ranked(self) -> list[tuple[int, int]]:
        """Indices of all options, sorted by their number of grid steps from the default.

        The threshold by expected Dice counts as one step: it has no value that could overfit.
        """
        i0, j0 = self.plain
        allowed = [
            (i, j)
            for i, threshold in enumerate(self.thresholds)
            for j, smallest_ml in enumerate(self.smallest_ml)
            if self.set_threshold in (None, threshold)
            and self.set_smallest_ml in (None, smallest_ml)
        ]

        def steps(at: tuple[int, int]) -> int:
            by_scan = self.thresholds[at[0]] == EXPECTED_DICE
            return (1 if by_scan else abs(at[0] - i0)) + abs(at[1] - j0)

        return sorted(allowed, key=lambda at: (steps(at), at))


def mask_options(settings: InferenceConfig) -> Options:
    """The options to search; a value that the settings fix is scored beside the default."""
    threshold, smallest_ml = settings.threshold, settings.smallest_ml
    return Options(
        THRESHOLDS if threshold is None else _rising({DEFAULT_THRESHOLD, threshold}),
        SMALLEST_ML if smallest_ml is None else tuple(sorted({PLAIN_SMALLEST_ML, smallest_ml})),
        settings.threshold,
        settings.smallest_ml,
    )


def _rising(thresholds: set[Threshold]) -> tuple[Threshold, ...]:
    numbers = sorted(value for value in thresholds if value != EXPECTED_DICE)
    return (*numbers, *(thresholds & {EXPECTED_DICE}))


# With fewer, the standard error over patients is not reliable.
FEWEST_PATIENTS = 5
Table = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MaskScores:
    """Scores of one scan for every option, shape (thresholds, sizes).

    Attributes:
        patient_id: Whose scan it is.
        dice: Hard Dice on the native grid.
        volume_ml: Predicted volume.
        true_ml: True volume.
    """

    patient_id: str
    dice: Table
    volume_ml: Table
    true_ml: float


def score_mask(
    probability: NDArray[np.float32],
    truth: NDArray[np.bool_],
    options: Options,
    *,
    voxel_volume_ml: float,
    patient_id: str,
) -> MaskScores:
    """Score one scan for every option.

    Args:
        probability: Of tumour on the native grid, shape (I, J, K).
        truth: True mask on the same grid.
        options: The options to compare.
        voxel_volume_ml: Volume of a native voxel.
        patient_id: Whose scan it is.
    """
    lowest = min(
        MIN_PROBABILITY if value == EXPECTED_DICE else value for value in options.thresholds
    )
    seen = _cropped((probability >= lowest) | truth)
    p, t = probability[seen], truth[seen]
    dice = np.empty((len(options.thresholds), len(options.smallest_ml)))
    volume = np.empty_like(dice)
    for i, threshold in enumerate(options.thresholds):
        mask = outlined(p, threshold)
        for j, smallest_ml in enumerate(options.smallest_ml):
            # Limits ascend, so each can start from the mask of the smaller one.
            if smallest_ml > 0:
                mask = remove_small_components(
                    mask, voxel_volume_ml=voxel_volume_ml, smallest_ml=smallest_ml
                )
            dice[i, j] = hard_dice(mask, t)
            volume[i, j] = volume_ml(mask, voxel_volume_ml=voxel_volume_ml)
    return MaskScores(patient_id, dice, volume, volume_ml(t, voxel_volume_ml=voxel_volume_ml))


def _cropped(seen: NDArray[np.bool_]) -> tuple[slice, ...]:
    """Bounding box of all true voxels; the connected components in it are the same."""
    slices = []
    for axis in range(seen.ndim):
        along = np.flatnonzero(seen.any(axis=tuple(a for a in range(seen.ndim) if a != axis)))
        slices.append(slice(along[0], along[-1] + 1) if len(along) else slice(0, 0))
    return tuple(slices)


def fit_mask(scores: Sequence[MaskScores], options: Options) -> tuple[MaskRule, tuple[int, int]]:
    """Choose the option with the best mean Dice over patients, or the default if none is better.

    The best of many options looks good by chance, above all on a dozen patients. So the choice is
    cross-validated by leaving one patient out: each patient is scored with the option that is best
    for the others. The best option is taken only if the mean gain over the default exceeds its
    standard error; among equal options the nearest to the default is taken. With fewer than 5
    patients it is always the default.

    Args:
        scores: Of each scan that has a mask.
        options: The options that they were scored for.

    Returns:
        The rule, and its indices in the options.
    """
    dice = _by_patient(scores, options)
    ranked = options.ranked
    open_to_choice = dice[:, *np.transpose(ranked)]
    chosen = ranked[_best(open_to_choice) if _choosing_helps(open_to_choice) else 0]
    return MaskRule(
        threshold=options.thresholds[chosen[0]],
        smallest_ml=options.smallest_ml[chosen[1]],
        dice=float(dice[:, *chosen].mean()) if len(dice) else None,
        plain_dice=float(dice[:, *options.plain].mean()) if len(dice) else None,
        n=len(scores),
    ), chosen


def _by_patient(scores: Sequence[MaskScores], options: Options) -> Table:
    """Mean Dice over the scans of each patient, shape (patients, thresholds, sizes)."""
    patients = sorted({each.patient_id for each in scores})
    means = [
        np.mean([each.dice for each in scores if each.patient_id == name], axis=0)
        for name in patients
    ]
    return np.array(means).reshape(len(patients), len(options.thresholds), len(options.smallest_ml))


def _best(dice: Table) -> int:
    """Index of the best option, the first of equals, in scores of shape (patients, options)."""
    # Sums in another order may differ in the last digit.
    return int(np.round(dice.mean(axis=0), 9).argmax())


def _choosing_helps(dice: Table) -> bool:
    n = len(dice)
    if n < FEWEST_PATIENTS:
        return False
    others = [_best(np.delete(dice, patient, axis=0)) for patient in range(n)]
    gain = dice[np.arange(n), others] - dice[:, 0]
    return bool(gain.mean() > gain.std(ddof=1) / np.sqrt(n))
