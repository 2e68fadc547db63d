"""What an evaluation found, in plain sentences with numbers from its records."""

from __future__ import annotations

from dataclasses import dataclass

from plgg.evaluate.evaluation import Evaluation
from plgg.evaluate.records import Abstention, Baseline, Interval, Limits, Summary
from plgg.report.evaluation.tables import between
from plgg.report.numbers import UNDEFINED, count, listed, number, signed

FEW_PATIENTS = 20
ADULT_YEARS = 18


@dataclass(frozen=True)
class Tile:
    """A number at the top of the page."""

    label: str
    value: str
    note: str
    colour: str = "#0072b2"


def tiles(summary: Summary) -> tuple[Tile, ...]:
    """The headline numbers."""
    named = {"dice": "Dice, mean", "volume_error_ml": "Volume error, mL"}
    spreads = [(label, summary.segmentation[name]) for name, label in named.items()]
    found = [
        (label, Interval(value=s.mean, ci_low=s.ci_low, ci_high=s.ci_high))
        for label, s in spreads
        if s.n
    ]
    volumes, marker = summary.volumes, summary.marker
    if volumes and volumes.coverage:
        found.append(("Volume intervals that hold", volumes.coverage))
    if marker:
        found.append(("Marker AUC", marker.auc))
    if marker and marker.reliability:
        found.append(("Marker calibration error", marker.reliability.ece))
    return tuple(_tile(label, interval) for label, interval in found)


def _tile(label: str, found: Interval) -> Tile:
    digits = 1 if label.endswith("mL") else 3
    told = between(found.ci_low, found.ci_high, digits)
    note = "" if told == UNDEFINED else f"95 % interval {told}"
    return Tile(label, number(found.value, digits), note)


def lead(found: Evaluation) -> str:
    """Who was scored, and what the numbers are."""
    summary = found.summary
    who = f"{count(summary.n_cases, 'scan')} of {count(summary.n_patients, 'patient')}"
    verb = "was" if summary.n_cases == 1 else "were"
    n_outlined = summary.segmentation["dice"].n
    n_named = summary.marker.n if summary.marker else 0
    return (
        f"{who} {verb} scored: {n_outlined} against an outline by hand, {n_named} against a known "
        "marker. Intervals show how far a number may be off because the patients are few; they "
        "say nothing of patients unlike these."
    )


def warnings(found: Evaluation) -> tuple[str, ...]:
    """What bears on the numbers."""
    summary = found.summary
    told = []
    told += [f"{one.case_id} could not be scored: {one.reason}" for one in summary.failed]
    if summary.missing:
        told.append(f"No prediction of {listed(summary.missing)}; they are in no number.")
    if summary.n_patients < FEW_PATIENTS:
        told.append(
            f"Only {count(summary.n_patients, 'patient')}: intervals are rough and may be too "
            "narrow, and subgroups say little."
        )
    ages = [row.age_years for row in found.rows if row.age_years is not None]
    if ages and min(ages) >= ADULT_YEARS:
        told.append("All patients of known age are adults: this is no result on children.")
    if summary.n_both_empty:
        told.append(
            f"{count(summary.n_both_empty, 'scan')} with two empty masks: Dice is 1 by rule."
        )
    if summary.marker and summary.marker.unknown_markers:
        names = listed(summary.marker.unknown_markers)
        told.append(f"The model does not know the marker {names}; such scans are not scored by it.")
    return tuple(told)


def volumes(summary: Summary) -> str:
    """Agreement in words."""
    found = summary.volumes
    if found is None or found.difference_ml is None:
        return ""
    return _agreement(found.difference_ml) + _trend(found.difference_ml)


def _agreement(limits: Limits) -> str:
    bias = limits.bias.value or 0.0
    reach = between(limits.lower.value, limits.upper.value, 1)
    return (
        f"The predicted volume is on average {number(abs(bias), 1)} mL "
        f"{'below' if bias < 0 else 'above'} the true one; for 95 % of scans a difference of "
        f"{reach} mL is expected."
    )


def _trend(limits: Limits) -> str:
    slope = limits.slope
    if slope is None or slope.value is None or slope.ci_low is None or slope.ci_high is None:
        return ""
    told = f"slope {signed(slope.value, 2)} mL a mL, {between(slope.ci_low, slope.ci_high, 2)}"
    if slope.ci_low <= 0 <= slope.ci_high:
        return f" Whether it depends on the size cannot be told ({told})."
    way = "falls" if slope.value < 0 else "grows"
    return f" The difference {way} with the size ({told}): go by the ratio."


def markers(summary: Summary) -> str:
    """Abstention and the clinical baseline in words."""
    found = summary.marker
    if found is None:
        return ""
    parts = (
        _withheld(found.abstention) if found.abstention else "",
        _beside(found.clinical) if found.clinical else "",
    )
    return " ".join(part for part in parts if part)


def _withheld(found: Abstention) -> str:
    answered = found.n - found.n_withheld
    told = f"{found.n_withheld} of {count(found.n, 'answer')} withheld as unsure"
    if not answered:
        return f"{told}."
    return f"{told}; of the {answered} given, {number(found.accuracy.value, 2)} were right."


def _beside(found: Baseline) -> str:
    reach = between(found.difference.ci_low, found.difference.ci_high)
    return (
        f"Clinical data alone (age, sex, place and volume of the tumour) reach an AUC of "
        f"{number(found.auc.value)} on {count(found.n, 'scan')}, the network "
        f"{number(found.network_auc.value)}: a difference of {signed(found.difference.value)} "
        f"(95 % interval {reach})."
    )
