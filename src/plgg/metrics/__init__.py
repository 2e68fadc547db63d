"""Metrics on arrays: overlap, surfaces, lesions, markers, calibration, and intervals. No torch."""

from plgg.metrics.bootstrap import Estimate, patient_interval
from plgg.metrics.calibration import (
    area_under_risk_coverage,
    calibration_error,
    fit_temperature,
    reliability_bins,
    risk_coverage,
    with_temperature,
)
from plgg.metrics.lesions import LesionCounts, count_lesions
from plgg.metrics.markers import MarkerScores, macro_auc, score_markers
from plgg.metrics.overlap import hard_dice, soft_dice, volume_ml
from plgg.metrics.surface import SurfaceScores, hd95_mm, surface_dice, surface_scores

__all__ = [
    "Estimate",
    "LesionCounts",
    "MarkerScores",
    "SurfaceScores",
    "area_under_risk_coverage",
    "calibration_error",
    "count_lesions",
    "fit_temperature",
    "hard_dice",
    "hd95_mm",
    "macro_auc",
    "patient_interval",
    "reliability_bins",
    "risk_coverage",
    "score_markers",
    "soft_dice",
    "surface_dice",
    "surface_scores",
    "volume_ml",
    "with_temperature",
]
