"""Agreement of two methods of measurement (Bland and Altman 1986, 1999)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from plgg.core.estimate import Estimate

# If the differences are normal, 95 % lie within so many standard deviations of their mean.
_WIDTH = 1.96
# Level of the confidence intervals.
_LEVEL = 0.95


@dataclass(frozen=True)
class Agreement:
    """Differences `measured - true`.

    Attributes:
        n: Pairs.
        bias: Mean difference.
        sd: Standard deviation of the differences (n - 1).
        lower: Lower limit of agreement, bias - 1.96 sd.
        upper: Upper limit.
        slope: Change of the difference for one more of the mean of both: 0 where the bias does not
            depend on the size; None where all sizes are equal or there are fewer than 4.
    """

    n: int
    bias: Estimate
    sd: float
    lower: Estimate
    upper: Estimate
    slope: Estimate | None


def bland_altman(
    measured: Sequence[float] | NDArray[np.float64],
    true: Sequence[float] | NDArray[np.float64],
    *,
    n_independent: int | None = None,
) -> Agreement | None:
    """Bias and limits of agreement; None for fewer than 3 independent pairs.

    Intervals are by t: the standard error of the bias is sd / √m and that of a limit
    sd · √(1/m + 1.96² / (2 (m - 1))), Bland and Altman 1999, section 2.1; that of the slope is of
    the ordinary regression of the differences on the means, section 3.2.

    Args:
        measured: Values of one method.
        true: Values of the other, in the same order.
        n_independent: m, the number of patients where some have several pairs; their further pairs
            then narrow no interval. By default all pairs are independent.
    """
    a, b = (np.asarray(values, dtype=np.float64) for values in (measured, true))
    m = len(a) if n_independent is None else min(n_independent, len(a))
    if m < 3:
        return None
    differences = a - b
    bias, sd = float(differences.mean()), float(differences.std(ddof=1))
    error = sd / np.sqrt(m)
    limit_error = sd * np.sqrt(1 / m + _WIDTH**2 / (2 * (m - 1)))
    return Agreement(
        n=len(a),
        bias=_bounded(bias, error, m - 1),
        sd=sd,
        lower=_bounded(bias - _WIDTH * sd, limit_error, m - 1),
        upper=_bounded(bias + _WIDTH * sd, limit_error, m - 1),
        slope=_slope((a + b) / 2, differences, m),
    )


def _slope(sizes: NDArray[np.float64], differences: NDArray[np.float64], m: int) -> Estimate | None:
    spread = sizes - sizes.mean()
    square = float(spread @ spread)
    if m < 4 or square <= 0.0:
        return None
    slope = float(spread @ differences) / square
    left = differences - differences.mean() - slope * spread
    # The mean square of what is left, per independent pair.
    variance = float(left @ left) / len(left) * m / (m - 2)
    return _bounded(slope, np.sqrt(variance / (square * m / len(sizes))), m - 2)


def _bounded(value: float, error: float, freedom: int) -> Estimate:
    reach = float(stats.t.ppf(0.5 + _LEVEL / 2, freedom)) * float(error)
    return Estimate(value, value - reach, value + reach)
