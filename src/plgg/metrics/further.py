"""Metrics of a mask that other packages have; columns `metric_NAME` of cases.csv.

All are computed whose package is installed and names them in the entry points `plgg.metrics`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from plgg.core.registry import Registry

Mask = NDArray[np.bool_]
Metric = Callable[[Mask, Mask, NDArray[np.float64]], float | None]
"""Of the predicted mask, the true one and the spacing in mm; None where it is undefined."""
METRICS: Registry[Metric] = Registry("metric", "plgg.metrics", {})


def register_metric(name: str, metric: Metric) -> None:
    """Have a metric of each scan written to `cases.csv`, as the column `metric_NAME`.

    Raises:
        ConfigError: If the name is taken by another.
    """
    METRICS.add(name, metric)


def score_registered(
    predicted: Mask, truth: Mask, spacing_mm: NDArray[np.float64]
) -> dict[str, float]:
    """The registered metrics of one scan that are defined.

    Raises:
        ConfigError: If the package of one cannot be loaded, or a metric fails.
    """
    found: dict[str, float] = {}
    for name, metric in METRICS.whole().items():
        with METRICS.calling(name):
            value = metric(predicted, truth, spacing_mm)
            if value is not None:
                found[name] = float(value)
    return found
