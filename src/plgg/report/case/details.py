"""Classification, uncertainty, verdicts and provenance of one scan as rows of text.

Of folders only the names: a path may hold what nobody else should read.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from plgg.data.quality import Status, Verdict
from plgg.data.result import Marker, Model, Result
from plgg.report.case.summary import gate_name, sentence
from plgg.report.numbers import UNDEFINED, count, number
from plgg.report.parts import Facts, class_colour, known


@dataclass(frozen=True)
class Gate:
    """One row of the table of verdicts; message and remedy only where something is odd."""

    name: str
    status: Status
    value: str
    limits: str
    remark: str


def gates_of(result: Result) -> tuple[Gate, ...]:
    """Every verdict on the scan, those that are odd first."""
    verdicts = list(result.quality.verdicts) if result.quality else []
    if result.familiarity:
        verdicts.append(result.familiarity)
    order = {"failed": 0, "doubtful": 1, "good": 2}
    return tuple(_gate(one) for one in sorted(verdicts, key=lambda one: order[one.status]))


def _gate(verdict: Verdict) -> Gate:
    odd = verdict.status != "good"
    return Gate(
        name=gate_name(verdict.gate).capitalize(),
        status=verdict.status,
        value=UNDEFINED if verdict.value is None else f"{verdict.value:.4g}".replace("-", "−"),
        limits=verdict.limits,
        remark=f"{sentence(verdict.message)}. {verdict.remedy}".strip() if odd else "",
    )


def certainty_facts(result: Result) -> Facts:
    """How sure the outline is."""
    found = result.uncertainty
    agreement = "not known: one answer was asked for"
    if found.agreement is not None:
        agreement = f"{number(found.agreement, 2)}, the mean Dice between {found.n_views} answers"
    small = (
        f"parts below {result.smallest_ml:.3g} mL removed" if result.smallest_ml else "all parts"
    )
    return (
        ("Expected Dice", number(found.expected_dice, 2)),
        ("Agreement of answers", agreement),
        ("Mask", f"probability of {result.threshold:.3g} or more; {small}"),
    )


def parts_facts(result: Result) -> Facts:
    """The tumour's parts; none where it is one."""
    if len(result.components) < 2:
        return ()
    return tuple(
        (f"Part {n}", f"{number(part.volume_ml, 2)} mL, centre at {_place(part.centre_mm)}")
        for n, part in enumerate(result.components, start=1)
    )


def _place(centre_mm: tuple[float, float, float]) -> str:
    """World coordinates with letters rather than signs."""
    pairs = zip(centre_mm, ("RL", "AP", "SI"), strict=True)
    return ", ".join(f"{pair[mm < 0]} {abs(mm):.0f}" for mm, pair in pairs) + " mm"


def model_facts(model: Model) -> Facts:
    """One network."""
    trained = f"preset {model.preset}, arm {model.arm}, epoch {model.epoch}, seed {model.seed}"
    if model.split is not None:
        trained += f", split {model.split}"
    return (
        ("Trained as", trained),
        ("Weights, SHA-256", model.sha256),
        ("Calibration, SHA-256", model.calibration_sha256 or "none"),
    )


def scan_facts(result: Result) -> Facts:
    """What was read, and what was done to it."""
    quality = result.quality
    return known(
        (
            ("File", Path(result.input.path).name),
            ("Kind", result.input.kind),
            ("Series", result.input.chosen or ""),
            ("Scan, SHA-256", result.input.sha256),
            ("Atlas", quality.atlas if quality else ""),
            ("Skull stripping", quality.stripping if quality else ""),
            ("Registration", _registration(result) if quality else ""),
        )
    )


def _registration(result: Result) -> str:
    tries = result.quality.attempts if result.quality else ()
    taken = next((one for one in tries if one.accepted), None)
    if taken is None:
        return "none"
    return f"{taken.engine}, {taken.model}, {count(len(tries), 'attempt')}"


def run_facts(result: Result) -> Facts:
    """How it was predicted."""
    settings = result.inference.model_dump(mode="json")
    chosen = ", ".join(
        f"{name} {'automatic' if value is None else value}" for name, value in settings.items()
    )
    return (
        ("Engine", result.engine),
        ("Threshold", f"{result.threshold:.4g}"),
        ("Settings", chosen),
        ("Versions", ", ".join(f"{name} {version}" for name, version in result.versions.items())),
    )


def time_facts(result: Result) -> Facts:
    """Seconds of each step, and of all."""
    steps = tuple((name.capitalize(), _seconds(value)) for name, value in result.seconds.items())
    return (*steps, ("Together", _seconds(sum(result.seconds.values())))) if steps else ()


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value >= 0.05 else "< 0.1 s"


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
    age = "" if result.age_years is None else f"age {result.age_years:g} years"
    sex = "" if result.sex is None else f"sex {result.sex}"
    inputs = ", ".join(filter(None, (age, sex)))
    listed = f" ({inputs})" if inputs else ""
    return (
        f"From age, sex, and the tumour's place and volume alone{listed}, without a look at the "
        "picture."
    )
