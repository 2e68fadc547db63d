"""`Evaluation`: the rows and the summary together, and its headline in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from plgg.evaluate.records import Interval, Lesions, Markers, Summary, Volumes
from plgg.evaluate.row import CaseScores

Line = tuple[str, str, str, str]


@dataclass(frozen=True)
class Evaluation:
    """An evaluation: its rows and its summary."""

    rows: tuple[CaseScores, ...]
    summary: Summary

    def summary_json(self) -> dict[str, Any]:
        """The summary as a record for JSON."""
        return self.summary.model_dump(mode="json")

    def as_rows(self) -> list[Line]:
        """Metric, value, interval and number of cases, as words for a table."""
        found = self.summary
        rows = []
        for name, s in found.segmentation.items():
            rows.append((name, number(s.mean), reach(s.ci_low, s.ci_high), str(s.n)))
            if name == "dice":
                median = reach(s.median_ci_low, s.median_ci_high)
                rows.append(("dice, median", number(s.median), median, str(s.n)))
        rows += _lesions(found.lesions)
        rows += _volumes(found.volumes) if found.volumes else ()
        rows += _markers(found.marker) if found.marker else ()
        return rows

    def headline(self) -> str:
        """Dice and AUC in one sentence."""
        dice = self.summary.segmentation["dice"]
        said = f"{self.summary.n_patients} patients: mean Dice {number(dice.mean)} "
        said += f"({reach(dice.ci_low, dice.ci_high)})"
        if self.summary.marker:
            auc = self.summary.marker.auc
            said += f", marker AUC {number(auc.value)} ({reach(auc.ci_low, auc.ci_high)})"
        return said


def _lesions(found: Lesions) -> Iterator[Line]:
    sensitivity = reach(found.sensitivity_ci_low, found.sensitivity_ci_high)
    precision = reach(found.precision_ci_low, found.precision_ci_high)
    yield "lesion sensitivity", number(found.sensitivity), sensitivity, str(found.n)
    yield "lesion precision", number(found.precision), precision, str(found.found + found.false)


def _volumes(found: Volumes) -> Iterator[Line]:
    limits = found.difference_ml
    if limits:
        for name, end in (("lower", limits.lower), ("upper", limits.upper)):
            yield _line(f"volume, {name} limit of agreement, mL", end, limits.n)
    if found.coverage:
        level = found.coverage_level
        promised = "" if level is None else f" ({level:.0%} promised)"
        yield _line(f"volume interval holds{promised}", found.coverage, found.n_with_interval)


def _markers(found: Markers) -> Iterator[Line]:
    yield _line("marker AUC", found.auc, found.n)
    yield _line("balanced accuracy", found.balanced_accuracy, found.n)
    yield _line("F1", found.f1, found.n)
    yield _line("Brier", found.brier, found.n)
    if found.reliability:
        yield _line("calibration error", found.reliability.ece, found.n)
    if found.abstention:
        yield _line("marker withheld, share", found.abstention.share, found.abstention.n)
        answered = found.abstention.n - found.abstention.n_withheld
        yield _line("accuracy where not withheld", found.abstention.accuracy, answered)
    if found.clinical:
        yield _line("clinical-only AUC", found.clinical.auc, found.clinical.n)
        yield _line("AUC, network less clinical", found.clinical.difference, found.clinical.n)


def _line(name: str, found: Interval, n: int) -> Line:
    return name, number(found.value), reach(found.ci_low, found.ci_high), str(n)


def number(value: float | None) -> str:
    """Three decimals, or a dash."""
    return "-" if value is None else f"{value:.3f}"


def reach(low: float | None, high: float | None) -> str:
    """Both ends of an interval, or a dash."""
    return "-" if low is None or high is None else f"{low:.3f} to {high:.3f}"
