"""Texts of a case page: tiles, volume over time, marker, uncertainty, verdicts, provenance.

Folders are shown by name only, because a path may contain private information.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from plgg.core.prediction_files import RESULT
from plgg.data.quality import Quality, Verdict
from plgg.data.result import (
    Change,
    Diameters,
    Marker,
    Model,
    Result,
    TaskResult,
    VolumeInterval,
    read_result,
)
from plgg.report.case.checks import check_name
from plgg.report.numbers import count, interval, number, signed
from plgg.report.parts import PREDICTION, REGIONS, Facts, Tile, known, status_word


def tiles_of(result: Result) -> tuple[Tile, ...]:
    """The tiles of the page, in reading order."""
    marker = [_marker(result.marker)] if result.marker else []
    return (
        _volume(result),
        _diameters(result.diameters),
        *marker,
        _quality(result.quality),
        _familiarity(result.familiarity),
    )


def _volume(result: Result) -> Tile:
    if not result.volume_ml:
        return Tile("Tumour volume", "0 mL", "no tumour was found", tone="doubtful")
    within = result.volume_interval
    n_parts = len(result.components)
    parts = "in one piece" if n_parts == 1 else f"in {n_parts} parts"
    note = f"{interval_text(within)} mL" if within else "no interval: not calibrated"
    value = volume_text(result.volume_ml)
    if _doubts_voxels(result.quality):
        note = f"{note}; mL and mm rest on a voxel size that is in doubt"
        return Tile("Tumour volume", value, note, tone="doubtful")
    return Tile("Tumour volume", value, f"{note}, {parts}")


def _doubts_voxels(quality: Quality | None) -> bool:
    """Whether the brain volume is implausible, so that the voxel size may be wrong."""
    verdicts = quality.verdicts if quality else ()
    return any(one.gate == "brain-volume" and one.status != "good" for one in verdicts)


def _diameters(found: Diameters | None) -> Tile:
    if found is None:
        return Tile("Largest diameters", "–", "nothing to measure")
    value = f"{number(found.largest_mm, 0)} × {number(found.perpendicular_mm, 0)} mm"
    depth = number(found.depth_mm, 0)
    product = number(found.product_mm2 / 100, 1)
    return Tile("Largest diameters", value, f"{found.plane}; depth {depth} mm; {product} cm²")


def _marker(marker: Marker) -> Tile:
    if marker.withheld:
        return Tile(
            "Genetic marker",
            "Withheld",
            sentence(marker.statement.removeprefix("Withheld: ")),
            tone="doubtful",
        )
    share = f"{marker.probabilities[marker.predicted]:.0%}".replace("%", " %")
    kind = "calibrated" if marker.calibrated else "not calibrated"
    return Tile("Genetic marker", marker.predicted, f"probability {share}, {kind}")


def _quality(quality: Quality | None) -> Tile:
    if quality is None:
        return Tile("Scan and registration", "Not judged", "no quality checks were run")
    odd = [check_name(one.gate) for one in quality.verdicts if one.status != "good"]
    note = ", ".join(odd) if odd else f"{count(len(quality.verdicts), 'quality check')} passed"
    status = status_word(quality.status).capitalize()
    return Tile("Scan and registration", status, note, tone=quality.status)


def _familiarity(verdict: Verdict | None) -> Tile:
    label = "Within the training distribution?"
    if verdict is None:
        return Tile(label, "Not known", "the model has no record of its training scans")
    answers = {"good": "Yes", "doubtful": "Uncertain", "failed": "No"}
    good = verdict.status == "good"
    note = "like the scans the model was trained on" if good else verdict.message
    return Tile(label, answers[verdict.status], note, tone=verdict.status)


def sentence(clause: str) -> str:
    """A clause with its first letter in upper case; the other letters are unchanged."""
    return clause[:1].upper() + clause[1:]


def notes_of(result: Result) -> tuple[str, ...]:
    """Each warning as a sentence, followed by the remedy of its verdict if there is one."""
    remedies = {one.message: one.remedy for one in verdicts_of(result)}
    return tuple(
        f"{sentence(text)}. {remedies.get(text, '')}".strip()
        for text in dict.fromkeys(result.warnings)
    )


def volume_history(result: Result, prior: Path | None) -> dict[str, object] | None:
    """Volume over time and the verdict on the last change; None without a prior prediction.

    Args:
        result: The result of this scan.
        prior: Folder of the earlier prediction; without it, its interval is unknown.
    """
    change = result.change
    if change is None:
        return None
    earlier = read_result(prior / RESULT) if prior else None
    rows: list[tuple[str, float, VolumeInterval | None]] = []
    if earlier and earlier.change:
        rows.append((Path(earlier.change.prior).name, earlier.change.volume_ml, None))
    before = earlier.volume_interval if earlier else None
    rows.append((Path(change.prior).name, change.volume_ml, before))
    rows.append((f"{result.case_id} (this scan)", result.volume_ml, result.volume_interval))
    most = max(max(ml, found.high_ml if found else 0.0) for _, ml, found in rows) or 1.0
    moments = [
        {
            "name": name,
            "text": volume_text(ml) + (f" ({interval_text(found)})" if found else ""),
            # Fractions of the largest value, on an axis from 0.
            "share": ml / most,
            "ends": (found.low_ml / most, found.high_ml / most) if found else None,
        }
        for name, ml, found in rows
    ]
    return {"moments": moments, "verdict": _verdict(change)}


def _verdict(change: Change) -> str:
    percent = "" if change.percent is None else f" ({signed(change.percent, 0)} %)"
    text = f"{signed(change.difference_ml, 1)} mL{percent}"
    if change.product_percent is not None:
        text += f"; product of the diameters {signed(change.product_percent, 0)} %"
    sure = {
        None: "whether that is beyond the measurement's error is not known",
        True: "beyond the measurement's error: the two intervals are disjoint",
        False: "within the measurement's error: the two intervals overlap",
    }[change.beyond_error]
    return f"{text}; {sure}."


def volume_text(ml: float) -> str:
    """A volume in mL with about three digits."""
    return f"{number(ml, 0 if ml >= 100 else 1 if ml >= 1 else 2)} mL"


def interval_text(found: VolumeInterval) -> str:
    """An interval with its level, such as `90 % interval 31 to 48`."""
    digits = 0 if found.high_ml >= 100 else 1 if found.high_ml >= 1 else 2
    within = interval(found.low_ml, found.high_ml, digits)
    return f"{found.level:.0%} interval {within}".replace("%", " %")


def verdicts_of(result: Result) -> list[Verdict]:
    """Every verdict on the scan, sorted from failed to good."""
    verdicts = list(result.quality.verdicts) if result.quality else []
    if result.familiarity:
        verdicts.append(result.familiarity)
    order = ("failed", "doubtful", "good")
    return sorted(verdicts, key=lambda one: order.index(one.status))


def certainty_facts(result: Result) -> Facts:
    """Uncertainty of the outline, and the rule that made the mask."""
    found = result.uncertainty
    agreement = "not known: one outline was asked for"
    if found.agreement is not None:
        agreement = f"{number(found.agreement, 2)}, the mean Dice between {found.n_views} outlines"
    small = (
        f"parts below {result.smallest_ml:.3g} mL removed" if result.smallest_ml else "all parts"
    )
    own = "" if result.threshold_rule == "fixed" else ", where its expected Dice is highest"
    return (
        ("Expected Dice", number(found.expected_dice, 2)),
        ("Agreement of outlines", agreement),
        ("Mask", f"probability of {result.threshold:.3g} or more{own}; {small}"),
    )


def parts_facts(result: Result) -> Facts:
    """The connected components of the tumour; empty for fewer than two."""
    if len(result.components) < 2:
        return ()
    return tuple(
        (f"Part {n}", f"{number(part.volume_ml, 2)} mL, centre at {_place(part.centre_mm)}")
        for n, part in enumerate(result.components, start=1)
    )


@dataclass(frozen=True)
class Region:
    """A region of the tumour in the legend of the pictures."""

    name: str
    colour: str
    volume: str
    note: str


def label_facts(result: Result) -> tuple[Region, ...]:
    """The regions of the tumour with their colours and volumes; empty for fewer than two."""
    if len(result.labels) < 2:
        return ()
    whole = result.labels[0].volume_ml
    colours = (PREDICTION, *REGIONS)
    return tuple(
        Region(
            name=label.name.replace("_", " "),
            colour=colour,
            volume=volume_text(label.volume_ml),
            note=_share(label.volume_ml, whole) if n else "the whole outline",
        )
        for n, (label, colour) in enumerate(zip(result.labels, colours, strict=False))
    )


def _share(ml: float, whole_ml: float) -> str:
    return f"{100 * ml / whole_ml:.0f} % of the tumour" if whole_ml else "no tumour was found"


def _place(centre_mm: tuple[float, float, float]) -> str:
    """World coordinates with the letters R/L, A/P and S/I instead of signs."""
    pairs = zip(centre_mm, ("RL", "AP", "SI"), strict=True)
    return ", ".join(f"{pair[mm < 0]} {abs(mm):.0f}" for mm, pair in pairs) + " mm"


def model_facts(model: Model) -> Facts:
    """Training, weights and calibration of one network."""
    trained = f"preset {model.preset}, arm {model.arm}, epoch {model.epoch}, seed {model.seed}"
    if model.split is not None:
        trained += f", split {model.split}"
    return (
        ("Trained as", trained),
        ("Weights, SHA-256", model.sha256),
        ("Calibration, SHA-256", model.calibration_sha256 or "none"),
    )


def scan_facts(result: Result) -> Facts:
    """The input file and its preprocessing."""
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
    """Engine, threshold, settings and versions of the prediction."""
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
    """Seconds of each step, and their sum."""
    steps = tuple((name.capitalize(), _seconds(value)) for name, value in result.seconds.items())
    return (*steps, ("Together", _seconds(sum(result.seconds.values())))) if steps else ()


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value >= 0.05 else "< 0.1 s"


def task_facts(result: Result) -> Facts:
    """The answer of each auxiliary task."""
    return tuple((name, _answer(task)) for name, task in result.tasks.items())


def _answer(task: TaskResult) -> str:
    """`2: 2 61 %, 3 39 %` or `7.31 (2.10 to 12.52 with a probability of 90 %)`."""
    if task.predicted is not None:
        shares = sorted(task.probabilities.items(), key=lambda pair: -pair[1])
        listed = ", ".join(f"{name} {100 * share:.0f} %" for name, share in shares)
        return f"{task.predicted}: {listed}; {'' if task.calibrated else 'not '}calibrated"
    if task.low is None or task.high is None or task.level is None:
        return f"{number(task.value, 2)}; no interval: not calibrated"
    within = f"{interval(task.low, task.high, 2)} with a probability of {100 * task.level:.0f} %"
    return f"{number(task.value, 2)} ({within})"
