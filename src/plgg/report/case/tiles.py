"""The headline: the numbers and verdicts that a reader wants before anything else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from plgg.io.quality import Quality, Status, Verdict
from plgg.io.result import Diameters, Marker, Result
from plgg.report.case.volumes import interval_text, volume_text
from plgg.report.numbers import count, number

Tone = Literal["good", "doubtful", "failed", "plain"]


@dataclass(frozen=True)
class Tile:
    """A number or a verdict, large, with a note below.

    Attributes:
        label: What it is.
        value: In short.
        note: What to know about it.
        tone: Its colour; `plain` is no verdict.
    """

    label: str
    value: str
    note: str
    tone: Tone = "plain"


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
        return Tile("Tumour volume", "0 mL", "no tumour was found", "doubtful")
    interval = result.volume_interval
    n_parts = len(result.components)
    parts = "in one piece" if n_parts == 1 else f"in {n_parts} parts"
    note = f"{interval_text(interval)} mL" if interval else "no interval: not calibrated"
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
        return Tile("Genetic marker", "Withheld", _reason(marker.statement), "doubtful")
    share = f"{marker.probabilities[marker.predicted]:.0%}".replace("%", " %")
    kind = "calibrated" if marker.calibrated else "not calibrated"
    return Tile("Genetic marker", marker.predicted, f"probability {share}, {kind}")


def _reason(statement: str) -> str:
    """Why, without the word that already stands above it."""
    return sentence(statement.removeprefix("Withheld: "))


def _quality(quality: Quality | None) -> Tile:
    if quality is None:
        return Tile("Scan and registration", "Not judged", "no quality gates were run")
    odd = [gate_name(one.gate) for one in quality.verdicts if one.status != "good"]
    note = ", ".join(odd) if odd else f"{count(len(quality.verdicts), 'gate')} passed"
    return Tile("Scan and registration", quality.status.capitalize(), note, _tone(quality.status))


def _familiarity(verdict: Verdict | None) -> Tile:
    if verdict is None:
        return Tile("Familiar scan?", "Not known", "the model has no record of its training scans")
    words = {"good": "Yes", "doubtful": "Doubtful", "failed": "No"}
    good = verdict.status == "good"
    note = "like those the model was trained on" if good else verdict.message
    return Tile("Familiar scan?", words[verdict.status], note, _tone(verdict.status))


def _tone(status: Status) -> Tone:
    return status


def sentence(clause: str) -> str:
    """A clause with a capital letter; the others stay as they are."""
    return clause[:1].upper() + clause[1:]


def gate_name(gate: str) -> str:
    """`brain-overlap` as words."""
    return gate.replace("-", " ")
