"""Figures of the marker predictions of an arm: confusion, probabilities, calibration."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from plgg.data.calibration import Bin
from plgg.evaluate.experiment_records import Experiment
from plgg.evaluate.records import CaseScores
from plgg.metrics.calibration import calibration_error, confidence_and_hits, reliability_bins
from plgg.report.drawing import as_svg
from plgg.report.figures_classification import (
    calibration_figure,
    confusion_figure,
    probability_figure,
)
from plgg.report.numbers import count, number
from plgg.report.parts import Picture, arm_title


def marker_pictures(experiment: Experiment, arm: str) -> list[Picture]:
    """The confusion matrix, the probabilities and the calibration of an arm."""
    classes = class_list(experiment, arm)
    counts = confusion(experiment, arm)
    pictures = []
    if counts.any():
        alt = f"Confusion matrix of {arm_title(arm).lower()}: {_in_words(counts, classes)}."
        caption = "Rows add up to 100 %. A scan that several splits tested counts in each."
        pictures.append(as_svg(confusion_figure(counts, classes), alt, caption))
    groups = probabilities(experiment, arm)
    if any(groups.get(name) for name in classes):
        alt = (
            "Stacked bars of the class probabilities of every tested scan, grouped by true marker."
        )
        caption = (
            "One bar a scan. The true class stands on the ground: the higher its colour, the "
            "better. Dashed: chance."
        )
        pictures.append(as_svg(probability_figure(groups, classes), alt, caption))
    bins = reliability(experiment, arm)
    if bins:
        alt = "Calibration plot: accuracy against the probability of the predicted marker, by bins."
        caption = (
            f"On the dashed line the probabilities can be taken at their word; below it the model "
            f"is too sure. Expected calibration error {number(calibration_error(bins))} of "
            f"{count(sum(each.n for each in bins), 'tested scan')}, all splits together. Bars are "
            "Wilson's 95 % intervals."
        )
        pictures.append(as_svg(calibration_figure(bins), alt, caption))
    return pictures


def _in_words(counts: NDArray[np.int64], names: Sequence[str]) -> str:
    return "; ".join(
        f"of {int(row.sum())} {truth}, "
        + ", ".join(f"{int(n)} called {name}" for name, n in zip(names, row, strict=True))
        for truth, row in zip(names, counts, strict=True)
        if row.sum()
    )


def class_list(experiment: Experiment, arm: str) -> tuple[str, ...]:
    """The marker classes of an arm, in the order of its first evaluation."""
    for found in experiment.tests(arm):
        if found.summary.marker:
            return found.summary.marker.classes
    predicted = [case.probabilities for _, case in experiment.tested(arm) if case.probabilities]
    return tuple(predicted[0]) if predicted else ()


def confusion(experiment: Experiment, arm: str) -> NDArray[np.int64]:
    """Tested scans by true (rows) and predicted class, summed over the splits."""
    classes = class_list(experiment, arm)
    counts = np.zeros((len(classes), len(classes)), dtype=np.int64)
    for _, case in experiment.tested(arm):
        if case.marker in classes and case.predicted_marker in classes:
            counts[classes.index(case.marker), classes.index(case.predicted_marker)] += 1
    return counts


def reliability(experiment: Experiment, arm: str) -> Sequence[Bin]:
    """Bins of the predicted class's probability with their accuracy, of all splits."""
    classes = class_list(experiment, arm)
    known = [
        case
        for _, case in experiment.tested(arm)
        if case.marker in classes and set(classes) <= set(case.probabilities)
    ]
    if not known:
        return ()
    predicted = np.array([[case.probabilities[name] for name in classes] for case in known])
    truth = np.array([classes.index(case.marker or "") for case in known], dtype=np.int64)
    return reliability_bins(*confidence_and_hits(predicted, truth))


def probabilities(experiment: Experiment, arm: str) -> dict[str, list[Mapping[str, float]]]:
    """Probabilities of the tested scans by true class, a scan's mean over splits; best first."""
    by_scan: dict[str, list[CaseScores]] = defaultdict(list)
    for _, case in experiment.tested(arm):
        if case.marker and case.probabilities:
            by_scan[case.case_id].append(case)
    by_class: dict[str, list[Mapping[str, float]]] = defaultdict(list)
    for cases in by_scan.values():
        mean = {
            name: sum(case.probabilities.get(name, 0.0) for case in cases) / len(cases)
            for name in cases[0].probabilities
        }
        by_class[str(cases[0].marker)].append(mean)
    for name, scans in by_class.items():
        scans.sort(key=lambda p, name=name: -p.get(name, 0.0))  # type: ignore[misc]
    return dict(by_class)
