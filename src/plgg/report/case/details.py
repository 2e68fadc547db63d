"""Classification, uncertainty, verdicts and provenance of one scan as rows of text.

Of folders only the names are told: a path may hold what nobody else should read.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from plgg.data.quality import Status, Verdict
from plgg.data.result import Marker, Model, Result, TaskResult
from plgg.report.case.tiles import gate_name, sentence
from plgg.report.drawing import class_colour
from plgg.report.numbers import UNDEFINED, count, number

Facts = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Gate:
    """One row of the table of verdicts; message and remedy only where something is odd."""

    name: str
    status: Status
    value: str
    limits: str
    told: str


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
        told=f"{sentence(verdict.message)}. {verdict.remedy}".strip() if odd else "",
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
    facts = [("File", Path(result.input.path).name), ("Kind", result.input.kind)]
    if result.input.chosen:
        facts.append(("Series", result.input.chosen))
    facts.append(("Scan, SHA-256", result.input.sha256))
    if result.quality:
        facts += [("Atlas", result.quality.atlas), ("Skull stripping", result.quality.stripping)]
        facts += [("Registration", _registration(result))]
    return tuple(facts)


def _registration(result: Result) -> str:
    tries = result.quality.attempts if result.quality else ()
    taken = next((one for one in tries if one.accepted), None)
    if taken is None:
        return "none"
    return f"{taken.engine}, {taken.model}, {count(len(tries), 'attempt')}"


def run_facts(result: Result) -> Facts:
    """How it was predicted."""
    settings = result.inference.model_dump(mode="json")
    told = ", ".join(f"{name} {_plain(value)}" for name, value in settings.items())
    return (
        ("Engine", result.engine),
        ("Threshold", f"{result.threshold:.4g}"),
        ("Settings", told),
        ("Versions", ", ".join(f"{name} {told}" for name, told in result.versions.items())),
    )


def _plain(value: object) -> str:
    return "automatic" if value is None else str(value)


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


def task_facts(result: Result) -> Facts:
    """The answer of each further task; none where there is none."""
    return tuple((name, _answer(task)) for name, task in result.tasks.items())


def _answer(task: TaskResult) -> str:
    """`2: 2 61 %, 3 39 %` or `7.31 (2.10 to 12.52 with a chance of 90 %)`."""
    if task.predicted is not None:
        shares = sorted(task.probabilities.items(), key=lambda pair: -pair[1])
        told = ", ".join(f"{name} {_percent(share)}" for name, share in shares)
        return f"{task.predicted}: {told}; {'' if task.calibrated else 'not '}calibrated"
    if task.low is None or task.high is None or task.level is None:
        return f"{number(task.value, 2)}; no interval: not calibrated"
    ends = f"{number(task.low, 2)} to {number(task.high, 2)}"
    return f"{number(task.value, 2)} ({ends} with a chance of {_percent(task.level)})"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


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
