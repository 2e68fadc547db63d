"""The marker's probabilities as bars, and what is to be thought of them."""

from __future__ import annotations

from dataclasses import dataclass

from plgg.io.result import Marker, Result
from plgg.report.palette import class_colour


@dataclass(frozen=True)
class Bar:
    """One class.

    Attributes:
        name: Of the class.
        share: Its probability.
        clinical: Its probability from the clinical facts alone; None where not known.
        colour: Of the bar.
        first: Whether it is the most probable.
    """

    name: str
    share: float
    clinical: float | None
    colour: str
    first: bool


@dataclass(frozen=True)
class MarkerPanel:
    """All that is said of the marker.

    Attributes:
        statement: For people.
        withheld: Whether it is not to be relied on.
        calibration: Whether probabilities are frequencies.
        bars: By class, in the model's order.
        clinical: What the clinical-only bars know; empty where there are none.
    """

    statement: str
    withheld: bool
    calibration: str
    bars: tuple[Bar, ...]
    clinical: str


def marker_panel(result: Result) -> MarkerPanel | None:
    """The panel; None where the model names no marker."""
    marker = result.marker
    if marker is None:
        return None
    clinical = marker.clinical_only or {}
    bars = tuple(
        Bar(
            name,
            marker.probabilities[name],
            clinical.get(name),
            class_colour(n),
            name == marker.predicted,
        )
        for n, name in enumerate(marker.classes)
    )
    return MarkerPanel(
        statement=marker.statement,
        withheld=marker.withheld,
        calibration=_calibration(marker),
        bars=bars,
        clinical=_clinical(result) if clinical else "",
    )


def _calibration(marker: Marker) -> str:
    if marker.calibrated:
        return (
            "Calibrated: the temperature was fitted on validation patients, so that of answers "
            "given with 80 % about 80 % should be right."
        )
    return "Not calibrated: these numbers rank the classes; they are no frequencies."


def _clinical(result: Result) -> str:
    """What stood behind the narrow bars."""
    known = []
    if result.age_years is not None:
        known.append(f"age {result.age_years:g} years")
    if result.sex is not None:
        known.append(f"sex {result.sex}")
    told = f" ({', '.join(known)})" if known else ""
    return (
        f"From age, sex, and the tumour's place and volume alone{told}, without a look at the "
        "picture."
    )
