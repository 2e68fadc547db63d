"""The measures of an evaluation with 95 % intervals, and sentences that explain them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from plgg.core.estimate import Estimate
from plgg.evaluate.records import (
    Abstention,
    Baseline,
    Lesions,
    Limits,
    Markers,
    Spread,
    Subgroup,
    Summary,
    TaskSummary,
    Volumes,
)
from plgg.report.numbers import count, ends, estimate, interval, number, signed
from plgg.report.table import Table

FEW_PATIENTS = 20
ADULT_YEARS = 18


@dataclass(frozen=True)
class Measure:
    """A measure of an evaluation: label, estimate, number of cases, and decimals."""

    label: str
    found: Estimate
    n: int
    digits: int = 3

    @property
    def value(self) -> str:
        """The number as text."""
        return number(self.found.value, self.digits)

    @property
    def interval(self) -> str:
        """Its 95 % interval as text."""
        return ends(self.found, self.digits)

    @property
    def cell(self) -> str:
        """Number and interval in one cell."""
        return estimate(self.found, self.digits)


# Label, whether the median is shown as well, digits.
_SEGMENTATION = {
    "dice": ("Dice", True, 3),
    "soft_dice": ("Soft Dice", False, 3),
    "surface_dice": ("Surface Dice at 2 mm", False, 3),
    "hd95_mm": ("HD95, mm", True, 1),
    "volume_error_ml": ("Volume error, mL", True, 1),
}
_GROUP_METRICS = {
    "dice": ("Dice", 3),
    "hd95_mm": ("HD95, mm", 1),
    "volume_error_ml": ("Volume error, mL", 1),
    "marker_named_rightly": ("Marker accuracy", 2),
}


_TASK_METRICS = {
    "auc": "AUC (macro, one against the rest)",
    "balanced_accuracy": "Balanced accuracy",
    "accuracy": "Accuracy",
    "brier": "Brier score",
    "mae": "Mean absolute error",
    "rmse": "Root mean square error",
    "r2": "R²",
    "r": "Pearson’s r",
    "coverage": "Coverage of intervals",
    "dice": "Dice, mean",
    "hd95_mm": "HD95, mm",
    "surface_dice": "Surface Dice (2 mm), mean",
    "volume_error_ml": "Volume error, mL",
}


def task_label(metric: str, task: TaskSummary) -> str:
    """The name of a metric of an auxiliary task, with a note if lower is better."""
    name = _TASK_METRICS.get(metric, metric)
    return f"{name}, lower is better" if metric in task.lower_is_better else name


def measures(summary: Summary) -> tuple[Measure, ...]:
    """All numbers that are defined."""
    rows = [
        *_segmentation(summary.segmentation),
        *_lesions(summary.lesions),
        *(_volumes(summary.volumes) if summary.volumes else ()),
        *(_markers(summary.marker) if summary.marker else ()),
        *(
            Measure(f"{name}: {task_label(metric, task)}", value, task.n)
            for name, task in summary.tasks.items()
            for metric, value in task.metrics.items()
        ),
    ]
    return tuple(row for row in rows if row.found.value is not None)


def _segmentation(found: dict[str, Spread]) -> Iterator[Measure]:
    for name, (label, with_median, digits) in _SEGMENTATION.items():
        if name in found:
            yield Measure(f"{label}, mean", found[name].of_mean, found[name].n, digits)
        if name in found and with_median:
            yield Measure(f"{label}, median", found[name].of_median, found[name].n, digits)


def _lesions(found: Lesions) -> Iterator[Measure]:
    yield Measure("Lesion sensitivity", found.of_sensitivity, found.n)
    yield Measure("Lesion precision", found.of_precision, found.found + found.false)


def _volumes(found: Volumes) -> Iterator[Measure]:
    if found.difference_ml:
        limits = found.difference_ml
        yield Measure("Volume error: lower limit of agreement, mL", limits.lower, limits.n, 1)
        yield Measure("Volume error: upper limit of agreement, mL", limits.upper, limits.n, 1)
        if limits.slope:
            yield Measure("Volume error: slope on the size, mL a mL", limits.slope, limits.n, 2)
    if found.log_ratio:
        # Logarithms are shown as the ratios they stand for.
        ratio, n = found.log_ratio, found.log_ratio.n
        name = "Volume ratio, predicted ÷ true"
        yield Measure(f"{name}: mean", ratio.bias.mapped(math.exp), n, 2)
        yield Measure(f"{name}: lower limit of agreement", ratio.lower.mapped(math.exp), n, 2)
        yield Measure(f"{name}: upper limit of agreement", ratio.upper.mapped(math.exp), n, 2)
    if found.coverage:
        level = found.coverage_level
        nominal = "" if level is None else f" ({level:.0%} nominal)"
        yield Measure(
            f"Coverage of volume intervals{nominal}", found.coverage, found.n_with_interval
        )


def _markers(found: Markers) -> Iterator[Measure]:
    yield Measure("Marker AUC (macro)", found.auc, found.n)
    for name, auc in found.auc_by_class.items():
        yield Measure(f"Marker AUC, {name} against the rest", auc, found.n)
    yield Measure("Marker balanced accuracy", found.balanced_accuracy, found.n)
    yield Measure("Marker F1 (macro)", found.f1, found.n)
    yield Measure("Marker Brier score", found.brier, found.n)
    if found.accuracy:
        yield Measure("Marker accuracy", found.accuracy, found.n)
    if found.reliability:
        yield Measure("Marker calibration error (ECE)", found.reliability.ece, found.n)
    if found.abstention:
        n, withheld = found.abstention.n, found.abstention.n_withheld
        yield Measure("Marker abstention rate", found.abstention.share, n)
        yield Measure("Marker accuracy, answered", found.abstention.accuracy, n - withheld)
        if withheld:
            yield Measure("Marker accuracy, withheld", found.abstention.accuracy_withheld, withheld)
    if found.clinical:
        n = found.clinical.n
        yield Measure("Clinical data alone: AUC (macro)", found.clinical.auc, n)
        yield Measure("Answer less clinical data: AUC", found.clinical.difference, n)
    for label, other in (("Network", found.network), ("Radiomics (forest)", found.radiomics)):
        if other:
            yield Measure(f"{label} alone: AUC (macro)", other.auc, other.n)
            yield Measure(f"Answer less {label.lower()}: AUC", other.difference, other.n)


def measure_table(summary: Summary) -> Table:
    """Every number with its interval."""
    rows = tuple((m.label, m.value, m.interval, str(m.n)) for m in measures(summary))
    return Table(("Measure", "Value", "95 % interval", "n"), rows)


def headline(summary: Summary) -> str:
    """Dice and AUC in one sentence."""
    dice = estimate(summary.segmentation["dice"].of_mean)
    auc = f", marker AUC {estimate(summary.marker.auc)}" if summary.marker else ""
    return f"{count(summary.n_patients, 'patient')}: mean Dice {dice}{auc}"


def group_table(summary: Summary) -> Table | None:
    """Means of each subgroup with their intervals; None without subgroups."""
    names = [m for m in _GROUP_METRICS if any(m in g.metrics for g in summary.subgroups)]
    rows = tuple(
        (
            group.group,
            group.level,
            str(group.n_patients),
            *(group_mean(group, name, _GROUP_METRICS[name][1]) for name in names),
        )
        for group in summary.subgroups
    )
    header = ("Group", "Level", "Patients", *(_GROUP_METRICS[m][0] for m in names))
    return Table(header, rows, words=frozenset({0, 1})) if rows else None


def group_mean(group: Subgroup, metric: str, digits: int) -> str:
    """A subgroup's mean of a metric with its interval; a dash where there is none."""
    found = group.metrics.get(metric)
    return estimate(found.of_mean if found else None, digits)


def volume_sentence(summary: Summary) -> str:
    """Agreement of the volumes in words; blank where it is not known."""
    limits = summary.volumes.difference_ml if summary.volumes else None
    if limits is None:
        return ""
    bias = limits.bias.value or 0.0
    expected = interval(limits.lower.value, limits.upper.value, 1)
    return (
        f"The predicted volume is on average {number(abs(bias), 1)} mL "
        f"{'below' if bias < 0 else 'above'} the true one; for 95 % of scans a difference of "
        f"{expected} mL is expected.{_trend(limits)}"
    )


def _trend(limits: Limits) -> str:
    slope = limits.slope
    if slope is None or slope.value is None or not slope.ends:
        return ""
    measured = f"slope {signed(slope.value, 2)} mL a mL, {ends(slope, 2)}"
    low, high = slope.ends
    if low <= 0 <= high:
        return f" Whether it depends on the size cannot be told ({measured})."
    way = "falls" if slope.value < 0 else "grows"
    return f" The difference {way} with the size ({measured}): go by the ratio."


def marker_sentences(summary: Summary) -> str:
    """Abstention and the clinical baseline in words; blank where they are not known."""
    found = summary.marker
    parts = (
        _withheld(found.abstention) if found and found.abstention else "",
        _clinical(found.clinical) if found and found.clinical else "",
    )
    return " ".join(filter(None, parts))


def _withheld(found: Abstention) -> str:
    answered = found.n - found.n_withheld
    withheld = f"{found.n_withheld} of {count(found.n, 'answer')} withheld as unsure"
    if not answered:
        return f"{withheld}."
    return f"{withheld}; of the {answered} given, {number(found.accuracy.value, 2)} were correct."


def _clinical(found: Baseline) -> str:
    within = ends(found.difference)
    return (
        f"Clinical data alone (age, sex, place and volume of the tumour) reach an AUC of "
        f"{number(found.auc.value)} on {count(found.n, 'scan')}, the answer "
        f"{number(found.network_auc.value)}: a difference of {signed(found.difference.value)} "
        f"(95 % interval {within})."
    )
