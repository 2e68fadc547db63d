"""The figures of an evaluation by name, with alternative texts.

A figure whose records are missing is left out.
"""

from __future__ import annotations

import numpy as np

from plgg.evaluate.evaluation import Evaluation
from plgg.evaluate.records import Abstention, Limits, Markers, Subgroup, Summary
from plgg.report.drawing import Picture, as_svg
from plgg.report.evaluation.tables import between
from plgg.report.figures.classification import (
    confusion_figure,
    coverage_figure,
    reliability_figure,
    roc_figure,
)
from plgg.report.figures.dice import forest_figure, scans_figure, sizes_figure
from plgg.report.figures.volume import difference_figure, measured, ratio_figure, volumes_figure
from plgg.report.numbers import count, number

Pictures = dict[str, Picture]


def outline_pictures(found: Evaluation) -> Pictures:
    """Dice of all scans, by size and by subgroup."""
    pictures: Pictures = {}
    n = found.summary.segmentation["dice"].n
    if n:
        alt = f"Dice of {count(n, 'scan')} in ascending order."
        caption = "One point a scan. The band is the 95 % interval of the mean."
        pictures["dice-by-scan"] = as_svg(scans_figure(found), alt, caption)
    if any(row.volume_ml and row.dice is not None for row in found.rows):
        alt = "Scatter of Dice against the true tumour volume."
        caption = "One point a scan."
        pictures["dice-by-size"] = as_svg(sizes_figure(found.rows), alt, caption)
    groups = shown_groups(found.summary)
    if n and groups:
        alt = "Mean Dice of each subgroup with its 95 % interval."
        caption = "Dashed: the mean of all. n counts patients; of fewer than three none is shown."
        figure = forest_figure(groups, found.summary.segmentation["dice"])
        pictures["dice-by-subgroup"] = as_svg(figure, alt, caption)
    return pictures


def shown_groups(summary: Summary) -> list[Subgroup]:
    """Subgroups of the traits that tell scans apart: with one level all are alike."""
    groups = summary.subgroups
    levels = {name: sum(g.group == name for g in groups) for name in {g.group for g in groups}}
    return [found for found in groups if levels[found.group] > 1]


def volume_pictures(found: Evaluation) -> Pictures:
    """Volumes against each other, and Bland–Altman in mL and as ratio."""
    pictures: Pictures = {}
    if measured(found.rows):
        alt = "Scatter of predicted against true tumour volume with the line of equality."
        caption = "On the dashed line the predicted volume is the true one."
        if any(row.volume_low_ml is not None for row in found.rows):
            caption += " Bars are the predicted intervals."
        pictures["volumes"] = as_svg(volumes_figure(found.rows), alt, caption)
    volumes = found.summary.volumes
    if volumes and volumes.difference_ml:
        limits = volumes.difference_ml
        figure = difference_figure(found.rows, limits)
        pictures["bland-altman-ml"] = as_svg(figure, _said(limits, "mL"), _LIMITS)
    if volumes and volumes.log_ratio:
        left_out = volumes.n_without_ratio
        told = f" {count(left_out, 'scan')} without a ratio left out." if left_out else ""
        figure = ratio_figure(found.rows, volumes.log_ratio)
        alt = _said(volumes.log_ratio, "on the logarithm")
        pictures["bland-altman-ratio"] = as_svg(figure, alt, _LIMITS + told)
    return pictures


_LIMITS = (
    "Solid: mean difference. Dashed: limits of agreement, between which 95 % of differences are "
    "expected. Bands: their 95 % intervals."
)


def _said(limits: Limits, unit: str) -> str:
    bias, lower, upper = (i.value for i in (limits.bias, limits.lower, limits.upper))
    return (
        f"Bland–Altman plot: bias {number(bias, 2)}, limits of agreement "
        f"{between(lower, upper, 2)} {unit}."
    )


def marker_pictures(found: Evaluation) -> Pictures:
    """Ranking, confusion, reliability and risk."""
    marker = found.summary.marker
    if marker is None or not marker.n:
        return {}
    pictures: Pictures = {}
    if any(auc.value is not None for auc in marker.auc_by_class.values()):
        alt = "Receiver operating characteristic of each marker against the rest."
        caption = "Dashed: guessing."
        pictures["roc"] = as_svg(roc_figure(found.rows, marker), alt, caption)
    counts = np.array(marker.confusion, dtype=np.int64)
    alt = "Confusion matrix of true and named marker."
    caption = "Scans; rows add up to 100 %."
    pictures["confusion"] = as_svg(confusion_figure(counts, marker.classes), alt, caption)
    return pictures | _calibration(marker)


def _calibration(marker: Markers) -> Pictures:
    found = marker.reliability
    if found is None:
        return {}
    ece = f"{number(found.ece.value)} ({between(found.ece.ci_low, found.ece.ci_high)})"
    told = f"Expected calibration error {ece}. Bars: Wilson intervals; the dot grows with n."
    risk = f"Risk over coverage.{_rule(marker.abstention)}"
    return {
        "reliability": as_svg(reliability_figure(found.bins), "Reliability diagram.", told),
        "risk-coverage": as_svg(coverage_figure(found, marker.abstention), risk, risk),
    }


def _rule(abstention: Abstention | None) -> str:
    if abstention is None:
        return " From right to left, ever more of the unsure answers are withheld."
    return f" The rule withheld {abstention.n_withheld} of {count(abstention.n, 'answer')}."
