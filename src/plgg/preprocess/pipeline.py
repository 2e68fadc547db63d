"""The pipeline of one native scan: bias field, brain, registration, gates, resampling.

    brain → registration → gates (`upright.py`) → one resampling → z-score → crop

`Route` says which way; it is the same for a cohort and for the next patient. Reading and writing
are done elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from plgg.core.errors import InputError
from plgg.core.progress import Clock
from plgg.core.volume import Volume
from plgg.data.quality import Quality, worst
from plgg.preprocess.bias import without_bias
from plgg.preprocess.judgement import Judged, judge
from plgg.preprocess.normalise import Prepared, prepare
from plgg.preprocess.registration.start import Placed
from plgg.preprocess.setup import Route, route_for

__all__ = ["Arrived", "RejectedScanError", "Route", "route_for", "travel"]

# No scanner's field of view is longer.
_LONGEST_MM = 1000.0


@dataclass(frozen=True, eq=False)
class Arrived:
    """A scan on the atlas grid, and how it got there."""

    prepared: Prepared
    placed: Placed
    quality: Quality


class RejectedScanError(InputError):
    """A scan that a gate did not let through.

    Attributes:
        quality: All that was measured.
        placed: Its brain and the least bad registration, where there is one.
    """

    def __init__(self, reason: str, remedy: str, quality: Quality, placed: Placed | None) -> None:
        super().__init__(reason, remedy=remedy)
        self.quality = quality
        self.placed = placed


def travel(
    flair: Volume, mask: Volume | None, route: Route, *, age_years: float | None = None
) -> Arrived:
    """Bring one scan, and its mask where there is one, to the atlas grid.

    Args:
        flair: Native scan, skull on or off, however it lies.
        mask: Tumour mask on the same native grid, or None.
        route: The way.
        age_years: At the scan, where known: brains grow.

    Raises:
        RejectedScanError: If no registration can be trusted or the scan is not what it should be.
        InputError: If there is no brain in it, or it does not lie on the grid.
    """
    _refuse_giant(flair)
    clock = Clock()
    found = judge(flair, route, age_years, clock)
    if found.placed is None or worst(found.verdicts) == "failed":
        raise _rejected(found, _quality(route, found, clock))
    with clock.step("resampling"):
        even = without_bias(flair, found.stripped.brain) if route.settings.n4 else flair
        prepared = prepare(even, mask, route.grid, found.placed)
    return Arrived(prepared, found.placed, _quality(route, found, clock))


def _refuse_giant(flair: Volume) -> None:
    """Before anything is resampled: a header in the wrong unit would ask for all memory."""
    longest_mm = float((flair.spacing_mm * flair.shape).max())
    if longest_mm > _LONGEST_MM:
        raise InputError(
            f"its header makes the scan {longest_mm:.0f} mm long",
            remedy="Mend the voxel size in the header: it must be in mm.",
        )


def _quality(route: Route, found: Judged, clock: Clock) -> Quality:
    return Quality(
        status="failed" if found.placed is None else worst(found.verdicts),
        verdicts=found.verdicts,
        attempts=found.attempts,
        stripping=found.stripped.engine,
        atlas=route.atlas.name,
        seconds=dict(clock.seconds),
    )


def _rejected(found: Judged, quality: Quality) -> RejectedScanError:
    bad = [verdict for verdict in found.verdicts if verdict.status == "failed"]
    if not bad:
        reason = f"no registration gave any map ({len(found.attempts)} tried)"
        return RejectedScanError(reason, "Look at the scan: is it a head?", quality, None)
    reason = "; ".join(verdict.message for verdict in bad)
    return RejectedScanError(reason, bad[0].remedy, quality, found.placed)
