"""`write_evaluation_page`: one evaluation as a page that opens offline.

FOLDER/evaluation.html    text, tables and figures in one file
FOLDER/figures/*.svg      the same figures for a paper
"""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np

from plgg.core.files import atomic_write, make_folder
from plgg.core.files import write_text as write_file
from plgg.core.output import EVALUATION, output_folder
from plgg.evaluate.evaluation import Evaluation, read_evaluation
from plgg.evaluate.records import CaseScores, Limits, Markers, Subgroup, Summary
from plgg.report.drawing import as_svg
from plgg.report.figures_classification import (
    calibration_figure,
    confusion_figure,
    risk_coverage_figure,
    roc_figure,
)
from plgg.report.figures_segmentation import (
    dice_by_size_figure,
    dice_by_subgroup_figure,
    dice_of_scans_figure,
    difference_figure,
    measured,
    ratio_figure,
    single_series,
    volumes_figure,
)
from plgg.report.labels import evaluation_labels
from plgg.report.measures import (
    ADULT_YEARS,
    FEW_PATIENTS,
    group_table,
    marker_sentences,
    measure_table,
    volume_sentence,
)
from plgg.report.numbers import blank, count, estimate, interval, listed, number
from plgg.report.parts import Picture, Tile, estimate_tile
from plgg.report.table import Column, table_of
from plgg.report.tasks import evaluation_tasks
from plgg.report.template import render

Pictures = dict[str, Picture]
"""Figures by name; one whose records are missing is left out."""

_FIGURES = (
    "dice-by-scan",
    "dice-by-size",
    "dice-by-subgroup",
    "volumes",
    "bland-altman-ml",
    "bland-altman-ratio",
    "roc",
    "confusion",
    "reliability",
    "risk-coverage",
)
_COLUMNS: tuple[Column[CaseScores], ...] = (
    Column("Scan", lambda c: c.case_id, is_words=True),
    Column("Site", lambda c: c.site or "", is_words=True),
    Column("Age", lambda c: blank(number(c.age_years, 1))),
    Column("Sex", lambda c: c.sex or "", is_words=True),
    Column("Place", lambda c: " ".join(filter(None, (c.side, c.region))), is_words=True),
    Column("True mL", lambda c: blank(number(c.volume_ml, 1))),
    Column("Predicted mL", lambda c: blank(number(c.predicted_volume_ml, 1))),
    Column("Interval, mL", lambda c: blank(interval(c.volume_low_ml, c.volume_high_ml, 1))),
    Column("Dice", lambda c: blank(number(c.dice))),
    Column("HD95, mm", lambda c: blank(number(c.hd95_mm, 1))),
    Column("Marker", lambda c: c.marker or "", is_words=True),
    Column("Predicted", lambda c: c.predicted_marker or "", is_words=True),
    Column("Probability", lambda c: blank(number(max(c.probabilities.values(), default=None), 2))),
    Column("Withheld", lambda c: "yes" if c.withheld else "", is_words=True),
)


def write_evaluation_page(folder: Path) -> Path:
    """Write `evaluation.html` and `figures/` into an evaluation's folder.

    Args:
        folder: Folder that `plgg.evaluate.cohort.evaluate_predictions` wrote.

    Returns:
        Path of the page.

    Raises:
        RunError: If the folder holds no evaluation.
        OutputError: If the page cannot be written.
    """
    found = read_evaluation(folder)
    summary = found.summary
    outlines, volumes, markers = _outlines(found), _volumes(found), _markers(found)
    page = {
        "title": folder.resolve().name,
        "tiles": _tiles(summary),
        "scans_of_patients": f"{count(summary.n_cases, 'scan')} of "
        f"{count(summary.n_patients, 'patient')} {'was' if summary.n_cases == 1 else 'were'}",
        "n_outlined": summary.segmentation["dice"].n,
        "n_predicted": summary.marker.n if summary.marker else 0,
        "warnings": _warnings(found),
        "measures": measure_table(summary),
        "outlines": outlines.values(),
        "volumes": volumes.values(),
        "volume_words": volume_sentence(summary),
        "markers": markers.values(),
        "marker_words": marker_sentences(summary),
        "labels": evaluation_labels(found),
        "tasks": evaluation_tasks(found),
        "groups": group_table(summary),
        "scans": table_of(found.rows, _COLUMNS),
    }
    path = folder / "evaluation.html"
    with output_folder(folder, EVALUATION):
        _write_figures(folder / "figures", outlines | volumes | markers)
        write_file(path, render("evaluation.html", page))
    return path


def _write_figures(folder: Path, pictures: Pictures) -> None:
    """Write the figures as SVG files; delete those of an earlier evaluation that are not drawn."""
    make_folder(folder)
    for name in _FIGURES:
        path = folder / f"{name}.svg"
        if name not in pictures:
            path.unlink(missing_ok=True)
            continue
        with atomic_write(path) as aside:
            aside.write_bytes(base64.b64decode(pictures[name].source.partition(",")[2]))


def _tiles(summary: Summary) -> list[Tile]:
    """The headline numbers."""
    dice, error = (summary.segmentation[name].of_mean for name in ("dice", "volume_error_ml"))
    tiles = [estimate_tile("Dice, mean", dice)] if dice.n else []
    tiles += [estimate_tile("Volume error, mL", error, digits=1)] if error.n else []
    volumes, marker = summary.volumes, summary.marker
    if volumes and volumes.coverage:
        tiles.append(estimate_tile("Coverage of volume intervals", volumes.coverage))
    if marker:
        tiles.append(estimate_tile("Marker AUC", marker.auc))
    if marker and marker.reliability:
        tiles.append(estimate_tile("Marker calibration error", marker.reliability.ece))
    return tiles


def _warnings(found: Evaluation) -> list[str]:
    """Warnings that limit how far the numbers can be trusted."""
    summary = found.summary
    warnings = [f"{one.case_id} could not be scored: {one.reason}" for one in summary.failed]
    if summary.missing:
        warnings.append(f"No prediction of {listed(summary.missing)}; they are in no number.")
    if summary.n_patients < FEW_PATIENTS:
        warnings.append(
            f"Only {count(summary.n_patients, 'patient')}: intervals are rough and may be too "
            "narrow, and subgroups say little."
        )
    ages = [row.age_years for row in found.rows if row.age_years is not None]
    if ages and min(ages) >= ADULT_YEARS:
        warnings.append("All patients of known age are adults: this is no result on children.")
    if summary.n_both_empty:
        scans = count(summary.n_both_empty, "scan")
        warnings.append(f"{scans} with two empty masks: Dice is 1 by rule.")
    if summary.marker and summary.marker.unknown_markers:
        names = listed(summary.marker.unknown_markers)
        warnings.append(
            f"The model does not know the marker {names}; such scans are not scored by it."
        )
    return warnings


def _outlines(found: Evaluation) -> Pictures:
    """Dice of all scans, by size and by subgroup."""
    pictures: Pictures = {}
    n = found.summary.segmentation["dice"].n
    if n:
        alt = f"Dice of {count(n, 'scan')} in ascending order."
        caption = "One point a scan. The band is the 95 % interval of the mean."
        pictures["dice-by-scan"] = as_svg(dice_of_scans_figure(found), alt, caption)
    if any(row.volume_ml and row.dice is not None for row in found.rows):
        figure = dice_by_size_figure(single_series(found.rows))
        alt = "Scatter of Dice against the true tumour volume."
        pictures["dice-by-size"] = as_svg(figure, alt, "One point a scan.")
    groups = _dividing_groups(found.summary)
    if n and groups:
        alt = "Forest plot: mean Dice of each subgroup with its 95 % interval."
        caption = "Dashed: the mean of all. n counts patients; of fewer than three none is shown."
        figure = dice_by_subgroup_figure(groups, found.summary.segmentation["dice"])
        pictures["dice-by-subgroup"] = as_svg(figure, alt, caption)
    return pictures


def _dividing_groups(summary: Summary) -> list[Subgroup]:
    """Subgroups of the traits that have at least two levels."""
    traits = [group.group for group in summary.subgroups]
    return [group for group in summary.subgroups if traits.count(group.group) > 1]


def _volumes(found: Evaluation) -> Pictures:
    """Volumes against each other, and Bland–Altman in mL and as ratio."""
    pictures: Pictures = {}
    if measured(found.rows):
        alt = "Scatter of predicted against true tumour volume with the line of equality."
        caption = "On the dashed line the predicted volume is the true one."
        if any(row.volume_low_ml is not None for row in found.rows):
            caption += " Bars are the predicted intervals."
        pictures["volumes"] = as_svg(volumes_figure(single_series(found.rows)), alt, caption)
    volumes = found.summary.volumes
    if volumes and volumes.difference_ml:
        limits = volumes.difference_ml
        figure = difference_figure(found.rows, limits)
        pictures["bland-altman-ml"] = as_svg(figure, _in_words(limits, "mL"), _LIMITS)
    if volumes and volumes.log_ratio:
        n = volumes.n_without_ratio
        left_out = f" {count(n, 'scan')} without a ratio left out." if n else ""
        figure = ratio_figure(found.rows, volumes.log_ratio)
        alt = _in_words(volumes.log_ratio, "on the logarithm")
        pictures["bland-altman-ratio"] = as_svg(figure, alt, _LIMITS + left_out)
    return pictures


_LIMITS = (
    "Solid: mean difference. Dashed: limits of agreement, between which 95 % of differences are "
    "expected. Bands: their 95 % intervals."
)


def _in_words(limits: Limits, unit: str) -> str:
    within = interval(limits.lower.value, limits.upper.value, 2)
    bias = number(limits.bias.value, 2)
    return f"Bland–Altman plot: bias {bias}, limits of agreement {within} {unit}."


def _markers(found: Evaluation) -> Pictures:
    """ROC curves, confusion, calibration and risk–coverage."""
    marker = found.summary.marker
    if marker is None or not marker.n:
        return {}
    pictures: Pictures = {}
    if any(auc.value is not None for auc in marker.auc_by_class.values()):
        alt = "Receiver operating characteristic of each marker against the rest."
        pictures["roc"] = as_svg(roc_figure(found.rows, marker), alt, "Dashed: chance.")
    figure = confusion_figure(np.array(marker.confusion, dtype=np.int64), marker.classes)
    alt = "Confusion matrix of true and predicted marker."
    pictures["confusion"] = as_svg(figure, alt, "Scans; rows add up to 100 %.")
    return pictures | _calibration(marker)


def _calibration(marker: Markers) -> Pictures:
    found, rule = marker.reliability, marker.abstention
    if found is None:
        return {}
    caption = (
        f"Expected calibration error {estimate(found.ece)}. Bars: Wilson intervals; the dot grows "
        "with n."
    )
    withheld = " From right to left, ever more of the unsure answers are withheld."
    if rule:
        withheld = f" The rule withheld {rule.n_withheld} of {count(rule.n, 'answer')}."
    risk = f"Risk over coverage.{withheld}"
    figure = risk_coverage_figure(found, rule)
    return {
        "reliability": as_svg(calibration_figure(found.bins), "Calibration plot.", caption),
        "risk-coverage": as_svg(figure, risk, risk),
    }
