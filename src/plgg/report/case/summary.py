"""The headline of a case page: tiles, and the volume over time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from plgg.data.quality import Quality, Verdict
from plgg.data.result import Change, Diameters, Marker, Result, VolumeInterval, read_result
from plgg.report.numbers import count, interval, number, signed
from plgg.report.parts import Tile, status_word


def tiles_of(result: Result) -> tuple[Tile, ...]:
    """In the order of reading."""
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
    return Tile("Tumour volume", volume_text(result.volume_ml), f"{note}, {parts}")


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
        return Tile("Scan and registration", "Not judged", "no quality gates were run")
    odd = [gate_name(one.gate) for one in quality.verdicts if one.status != "good"]
    note = ", ".join(odd) if odd else f"{count(len(quality.verdicts), 'gate')} passed"
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
    """A clause with a capital letter; the others stay as they are."""
    return clause[:1].upper() + clause[1:]


def gate_name(gate: str) -> str:
    """`brain-overlap` as words."""
    return gate.replace("-", " ")


@dataclass(frozen=True)
class Moment:
    """A volume, and where it stands on an axis from 0 to the largest.

    Attributes:
        name: Of the scan.
        text: Volume and interval in words.
        share: Length of its bar, 0 to 1.
        low: Lower end of the interval on the axis; None where not known.
        high: Upper end.
    """

    name: str
    text: str
    share: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Course:
    """The volumes in the order of time, and what the last step means."""

    moments: tuple[Moment, ...]
    verdict: str


def course_of(result: Result, prior: Path | None) -> Course | None:
    """Volume over time; None where the scan was compared with nothing.

    Args:
        result: This scan's.
        prior: Folder of the earlier prediction; without it, its interval is not known.
    """
    change = result.change
    if change is None:
        return None
    earlier = read_result(prior / "result.json") if prior else None
    rows: list[tuple[str, float, VolumeInterval | None]] = []
    if earlier and earlier.change:
        rows.append((Path(earlier.change.prior).name, earlier.change.volume_ml, None))
    before = earlier.volume_interval if earlier else None
    rows.append((Path(change.prior).name, change.volume_ml, before))
    rows.append((f"{result.case_id} (this scan)", result.volume_ml, result.volume_interval))
    most = max(max(ml, found.high_ml if found else 0.0) for _, ml, found in rows) or 1.0
    return Course(tuple(_moment(*row, most) for row in rows), _verdict(change))


def _moment(name: str, ml: float, found: VolumeInterval | None, most: float) -> Moment:
    if found is None:
        return Moment(name, volume_text(ml), ml / most, None, None)
    text = f"{volume_text(ml)} ({interval_text(found)})"
    return Moment(name, text, ml / most, found.low_ml / most, found.high_ml / most)


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
