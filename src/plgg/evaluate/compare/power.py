"""Power of paired t tests: how many splits or patients it would take to find a difference."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass

from scipy import stats

from plgg.evaluate.compare.records import Contrast, Power

ALPHA = 0.05
_MOST_SPLITS = 1000
_MOST_PATIENTS = 1_000_000


@dataclass(frozen=True)
class PowerTarget:
    """The gain to detect, and the power to detect it with.

    Attributes:
        gain: Mean difference.
        power: Probability to detect it, two-sided at the 5 % level.
    """

    gain: float = 0.03
    power: float = 0.8


def power_of_t_test(n: int, effect: float, *, test_to_train: float = 0.0) -> float:
    """Power of the two-sided (corrected) paired t test at the 5 % level.

    The non-centrality is effect / sqrt(1/n + n_test/n_train), the second term that of Nadeau and
    Bengio, 2003; the rest is the paired t test of Cohen, 1988.

    Args:
        n: Differences.
        effect: Mean difference over the standard deviation of the differences.
        test_to_train: n_test / n_train for splits that share patients; 0 for patients.
    """
    if n < 2:
        return 0.0
    freedom, centre = n - 1, abs(effect) / math.sqrt(1.0 / n + test_to_train)
    beyond = stats.t.isf(ALPHA / 2, freedom)
    # Of the non-central t, what lies beyond the critical values.
    found = float(stats.nct.sf(beyond, freedom, centre) + stats.nct.cdf(-beyond, freedom, centre))
    # scipy gives NaN where the power is 1 within rounding.
    return 1.0 if math.isnan(found) else found


def smallest_n(power_at: Callable[[int], float], power: float, most: int) -> int | None:
    """The smallest n that reaches a power; None where even `most` do not."""
    if power_at(most) < power:
        return None
    return bisect_left(range(most), power, lo=2, key=power_at)


def power_of(contrast: Contrast, aim: PowerTarget) -> Power | None:
    """The numbers of splits and of patients that the aim needs, by the spread of a contrast.

    Splits of one cohort share patients, so that more splits raise the power only up to a limit;
    beyond it more patients are needed. None where no spread is known.
    """
    splits, patients = contrast.splits, contrast.patients
    n_splits = n_patients = None
    if splits is not None and splits.sd:
        effect, ratio = aim.gain / splits.sd, contrast.test_to_train
        n_splits = smallest_n(
            lambda n: power_of_t_test(n, effect, test_to_train=ratio), aim.power, _MOST_SPLITS
        )
    if patients is not None and patients.sd:
        by_patient = aim.gain / patients.sd
        n_patients = smallest_n(lambda n: power_of_t_test(n, by_patient), aim.power, _MOST_PATIENTS)
    known = [found for found in (splits, patients) if found is not None and found.sd]
    if not known:
        return None
    sentence = _power_sentence(contrast, aim, n_splits, n_patients)
    return Power(aim.gain, aim.power, n_splits, n_patients, sentence)


def _power_sentence(
    contrast: Contrast, aim: PowerTarget, n_splits: int | None, n_patients: int | None
) -> str:
    clauses = []
    if contrast.splits is not None and contrast.splits.sd:
        clauses.append(
            "no number of splits of this cohort would do, since they share patients"
            if n_splits is None
            else f"{n_splits} splits of this cohort"
        )
    if n_patients is not None:
        clauses.append(f"{n_patients} test patients, of whom each counts once")
    joined = "; or " if n_splits is not None else "; "
    return (
        f"To find a difference of {aim.gain:g} with a chance of {aim.power:.0%} at the 5 % level "
        f"it would take: {joined.join(clauses)}."
    )
