"""Volume over time: this scan's, the prior's, and what that one was compared with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from plgg.io.result import Change, Result, VolumeInterval, read_result
from plgg.report.numbers import number, signed


@dataclass(frozen=True)
class Moment:
    """A volume, and where it stands on an axis from 0 to the largest.

    Attributes:
        name: Of the scan.
        told: Volume and interval in words.
        share: Length of its bar, 0 to 1.
        low: Lower end of the interval on the axis; None where not known.
        high: Upper end.
    """

    name: str
    told: str
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
    most = max(max(ml, interval.high_ml if interval else 0.0) for _, ml, interval in rows) or 1.0
    return Course(tuple(_moment(*row, most) for row in rows), _verdict(change))


def _moment(name: str, ml: float, interval: VolumeInterval | None, most: float) -> Moment:
    if interval is None:
        return Moment(name, volume_text(ml), ml / most, None, None)
    told = f"{volume_text(ml)} ({interval_text(interval)})"
    return Moment(name, told, ml / most, interval.low_ml / most, interval.high_ml / most)


def _verdict(change: Change) -> str:
    percent = "" if change.percent is None else f" ({signed(change.percent, 0)} %)"
    told = f"{signed(change.difference_ml, 1)} mL{percent}"
    if change.product_percent is not None:
        told += f"; product of the diameters {signed(change.product_percent, 0)} %"
    sure = {
        None: "whether that is beyond the measurement's error is not known",
        True: "beyond the measurement's error: the two intervals are disjoint",
        False: "within the measurement's error: the two intervals overlap",
    }[change.beyond_error]
    return f"{told}; {sure}."


def volume_text(ml: float) -> str:
    """A volume in mL with about three digits."""
    return f"{number(ml, 0 if ml >= 100 else 1 if ml >= 1 else 2)} mL"


def interval_text(interval: VolumeInterval) -> str:
    """An interval with its level, such as `90 % interval 31 to 48`."""
    digits = 0 if interval.high_ml >= 100 else 1 if interval.high_ml >= 1 else 2
    ends = f"{number(interval.low_ml, digits)} to {number(interval.high_ml, digits)}"
    return f"{interval.level:.0%} interval {ends}".replace("%", " %")
