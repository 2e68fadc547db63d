"""The pipeline of one native scan: bias field, brain, registration, gates, resampling.

    brain → registration → gates → co-registration of other sequences → one resampling → z-score
    → crop

`Route` says which way; it is the same for a cohort and for the next patient. Reading and writing
are done elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from plgg.config.base import TITLES
from plgg.core.errors import InputError
from plgg.core.progress import Clock
from plgg.core.volume import Affine, Volume, inverse
from plgg.data.quality import Quality, Verdict, worst
from plgg.preprocess.bias import without_bias
from plgg.preprocess.brain_extraction import Stripped
from plgg.preprocess.coregistration import Coregistered, coregister
from plgg.preprocess.grid import Grid, slices_grid, sri24_grid
from plgg.preprocess.judgement import Judged, judge
from plgg.preprocess.normalise import Moved, Prepared, prepare
from plgg.preprocess.registration.start import Placed
from plgg.preprocess.resample import resample
from plgg.preprocess.setup import Route, route_for

__all__ = [
    "PreprocessedScan",
    "RejectedScanError",
    "Route",
    "preprocess_scan",
    "refuse_giant",
    "route_for",
]

# No scanner's field of view is longer.
_LONGEST_MM = 1000.0


@dataclass(frozen=True, eq=False)
class PreprocessedScan:
    """A scan on the atlas grid, and how it got there.

    Attributes:
        prepared: All its channels.
        placed: The reference's brain and its way to the atlas.
        quality: What was measured.
        reference_from: 4×4 matrices from the worlds of the other sequences to the reference's.
    """

    prepared: Prepared
    placed: Placed
    quality: Quality
    reference_from: dict[str, Affine] = field(default_factory=dict)


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


def preprocess_scan(
    flair: Volume,
    mask: Volume | None,
    route: Route,
    *,
    age_years: float | None = None,
    others: Mapping[str, Volume] | None = None,
    stripped: Stripped | None = None,
    clock: Clock | None = None,
) -> PreprocessedScan:
    """Bring one scan, and its mask and other sequences where there are any, to the atlas grid.

    Args:
        flair: Native scan, the reference, skull on or off, however it lies.
        mask: Tumour mask on the same native grid, or None; the numbers of its regions where the
            route has labels.
        route: The way.
        age_years: At the scan, where known: brains grow.
        others: Further sequences of the same head by name. One that cannot be registered to the
            reference is left out, and a verdict says so.
        stripped: The reference's brain, where it was found already.
        clock: Told of each step, and so far of those that were done already.

    Raises:
        RejectedScanError: If no registration can be trusted or the scan is not what it should be.
        InputError: If there is no brain in it, or it does not lie on the grid.
    """
    refuse_giant(flair)
    clock = clock or Clock()
    found = judge(flair, route, age_years, clock, stripped=stripped)
    if found.placed is None or worst(found.verdicts) == "failed":
        raise _rejected(found, _quality(route, found, clock))
    placed, brain = found.placed, found.stripped.brain
    with clock.step("co-registration"):
        moved, verdicts = _coregistered(flair, brain, others or {})
    with clock.step("resampling"):
        if route.settings.n4:
            moved = {name: _even(one, flair, brain) for name, one in moved.items()}
        even = without_bias(flair, brain) if route.settings.n4 else flair
        grid = _grid(route, flair, placed)
        prepared = prepare(even, mask, grid, placed, moved, route.labels)
    found = replace(found, verdicts=(*found.verdicts, *verdicts))
    ways = {name: one.reference_from_other for name, one in moved.items()}
    return PreprocessedScan(prepared, placed, _quality(route, found, clock), ways)


def _grid(route: Route, flair: Volume, placed: Placed) -> Grid:
    """The grid of the route, in the atlas' world."""
    if route.grid.kind == "atlas":
        return sri24_grid(route.grid.spacing_mm)
    own = slices_grid(flair.with_data(placed.brain), route.grid.spacing_mm)
    return replace(own, affine=placed.native_to_atlas @ own.affine)


def _coregistered(
    flair: Volume, brain: NDArray[np.bool_], others: Mapping[str, Volume]
) -> tuple[dict[str, Moved], list[Verdict]]:
    """The sequences that can be registered to the reference, and what is to be said of all."""
    moved, verdicts = {}, []
    for name, scan in others.items():
        one = coregister(flair, brain, scan, title=TITLES[name])
        verdicts.append(_told(one))
        if one.verdict.status != "failed":
            moved[name] = Moved(scan, one.reference_from_other)
    return moved, verdicts


def _told(one: Coregistered) -> Verdict:
    """A sequence that cannot be used does not cost the case: it is left out, and that is said."""
    verdict = one.verdict
    if verdict.status != "failed":
        return verdict
    message = f"{verdict.message}: it is left out"
    return verdict.model_copy(update={"status": "doubtful", "message": message})


def _even(one: Moved, flair: Volume, brain: NDArray[np.bool_]) -> Moved:
    """Another sequence without its bias field."""
    there = inverse(flair.affine) @ one.reference_from_other @ one.scan.affine
    inside = resample(brain, there, one.scan.shape) >= 0.5
    return replace(one, scan=without_bias(one.scan, inside)) if inside.any() else one


def refuse_giant(flair: Volume) -> None:
    """Before anything is resampled: a header in the wrong unit would ask for all memory.

    Raises:
        InputError: If the scan is longer than any scanner's field of view.
    """
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
