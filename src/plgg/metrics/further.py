"""Metrics of a mask that other packages register; columns `metric_NAME` of cases.csv."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from plgg.core.registry import register

Mask = NDArray[np.bool_]
Metric = Callable[[Mask, Mask, NDArray[np.float64]], float | None]
"""Of the predicted mask, the true one and the spacing in mm; None where it is undefined."""
METRICS: dict[str, Metric] = {}


def register_metric(name: str, metric: Metric) -> None:
    """Have a metric of each scan written to `cases.csv`, as the column `metric_NAME`.

    Raises:
        ConfigError: If the name is taken by another.
    """
    register(METRICS, name, metric, what="metric")


def score_registered(
    predicted: Mask, truth: Mask, spacing_mm: NDArray[np.float64]
) -> dict[str, float]:
    """The registered metrics of one scan that are defined."""
    found = {name: metric(predicted, truth, spacing_mm) for name, metric in METRICS.items()}
    return {name: float(value) for name, value in found.items() if value is not None}
