"""Mask metrics of other packages, written to the columns `metric_NAME` of cases.csv.

Every metric is computed that an installed package lists in its entry points `plgg.metrics`, or
that `register_metric` added.
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
    """Register a metric of each scan, which is written to `cases.csv` as `metric_NAME`.

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
    for name, metric in METRICS.load_all().items():
        with METRICS.calling(name):
            value = metric(predicted, truth, spacing_mm)
            if value is not None:
                found[name] = float(value)
    return found
