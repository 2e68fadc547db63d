"""How the two tasks pull at the shared encoder: the curves to draw, and the cosine in words."""

from __future__ import annotations

import statistics

from plgg.report.experiment_records import Experiment
from plgg.report.figures_training import Curve, points
from plgg.report.numbers import signed
from plgg.report.palette import arm_title

COSINE = Curve(
    "Cosine of the tasks' gradients",
    "cosine",
    ("gradients", "cosine"),
    0.0,
    guessed="no effect on each other",
)
_NORM = "norm on the encoder"
NORMS = (
    Curve("Gradient of the outline", _NORM, ("gradients", "segmentation"), logarithmic=True),
    Curve("Gradient of the marker", _NORM, ("gradients", "marker"), logarithmic=True),
)
WEIGHTS = (
    Curve("Weight of the outline", "weight", ("weights", "segmentation")),
    Curve("Weight of the marker", "weight", ("weights", "marker")),
)


def gradient_curves(experiment: Experiment) -> tuple[Curve, ...]:
    """Cosine and norms; the tasks' weights as well where training changed them."""
    moved = any(_moves(experiment, curve) for curve in WEIGHTS)
    return (COSINE, *NORMS, *(WEIGHTS if moved else ()))


def _moves(experiment: Experiment, curve: Curve) -> bool:
    """Whether a curve is more than a flat line in any run."""
    return any(len({value for _, value in points(run, curve)}) > 1 for run in experiment.runs)


def gradients_told(experiment: Experiment) -> list[str]:
    """A sentence for each arm whose cosine was measured: its mean, and how often it is below 0."""
    told = []
    for arm in experiment.arms:
        found = [value for run in experiment.of(arm) for _, value in points(run, COSINE)]
        if found:
            against = sum(value < 0 for value in found) / len(found)
            told.append(
                f"{arm_title(arm)}: the cosine is {signed(statistics.fmean(found), 2)} on average "
                f"and below 0 in {100 * against:.0f} % of the epochs."
            )
    return told
