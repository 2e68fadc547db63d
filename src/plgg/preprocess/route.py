"""The way of one native scan to the atlas grid, with all that is judged on it.

    brain → registration → gates → one resampling → z-score → crop

`Route` says which way; it is the same for a cohort and for the next patient. Reading and writing
are done elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plgg.config import Config, PreprocessConfig
from plgg.errors import InputError
from plgg.io.atlas import Atlas, load_atlas
from plgg.io.quality import Attempt, Quality, Verdict, worst
from plgg.io.sri24 import AFFINE, SHAPE
from plgg.preprocess.bias import without_bias
from plgg.preprocess.case import Prepared, prepare
from plgg.preprocess.gates.brain_volume import brain_volume
from plgg.preprocess.gates.field_of_view import field_of_view
from plgg.preprocess.gates.orientation import orientation
from plgg.preprocess.gates.overlap import brain_overlap
from plgg.preprocess.gates.sequence import fluid, t1_like
from plgg.preprocess.grid import Grid, sri24_grid
from plgg.preprocess.place import METHOD, Placed, centre_on_atlas
from plgg.preprocess.registration import (
    AS_IT_LIES,
    CHAINS,
    Registered,
    Step,
    frame_of,
    register,
    view_of,
)
from plgg.preprocess.registration.aligned import Aligned, carried
from plgg.preprocess.strip import Stripped, find_brain
from plgg.volume import Volume, inverse, same_grid
from plgg.watch import Clock

# No scanner's field of view is longer.
_LONGEST_MM = 1000.0


@dataclass(frozen=True, eq=False)
class Route:
    """How scans get to the grid.

    Attributes:
        grid: Where they go.
        settings: Stripping, registration, intensities.
        atlas: What they are registered to.
        scan_gib: GiB that one scan may unpack to; no part of what is done to it.
    """

    grid: Grid
    settings: PreprocessConfig
    atlas: Atlas
    scan_gib: float | None = None

    @property
    def spacing_mm(self) -> float:
        """Voxel size of the grid."""
        return abs(float(self.grid.affine[0, 0]))


def route_for(config: Config) -> Route:
    """The route of a run's or a store's settings.

    Returns:
        The route; its settings hold the hash of its atlas.

    Raises:
        InputError: If the atlas cannot be had, or is not the one that the settings ask for.
    """
    wanted = config.preprocess
    atlas = load_atlas(wanted.atlas)
    if wanted.atlas_sha256 not in (None, atlas.sha256):
        raise InputError(
            "is not the atlas that the other scans were registered to",
            where=atlas.source,
            remedy="Name that one with --atlas.",
        )
    settings = wanted.model_copy(update={"atlas_sha256": atlas.sha256})
    grid = sri24_grid(config.grid.spacing_mm)
    return Route(grid, settings, atlas, config.execution.scan_gib)


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
    with clock.step("brain"):
        stripped = find_brain(flair, route.settings.stripping)
    size = brain_volume(float(stripped.brain.sum()) * flair.voxel_volume_ml, age_years)
    looked = [size]
    if size.status != "failed":  # Faces cannot be told on what has no size.
        looked.append(field_of_view(stripped.brain, flair.affine))
    if worst(looked) == "failed":  # Half a brain can be stretched over any atlas.
        found = _Found(None, (), ())
    elif route.settings.registration == "centre":
        found = _centred(flair, stripped.brain, route)
    else:
        found = _registered(flair, stripped.brain, route, age_years, clock)
    verdicts = (*looked, *found.verdicts)
    if found.placed is None or worst(verdicts) == "failed":
        raise _rejected(found, verdicts, _quality(route, stripped, found, verdicts, clock))
    with clock.step("resampling"):
        even = without_bias(flair, stripped.brain) if route.settings.n4 else flair
        prepared = prepare(even, mask, route.grid, found.placed)
    return Arrived(prepared, found.placed, _quality(route, stripped, found, verdicts, clock))


def _refuse_giant(flair: Volume) -> None:
    """Before anything is resampled: a header in the wrong unit would ask for all memory."""
    longest_mm = float((flair.spacing_mm * flair.shape).max())
    if longest_mm > _LONGEST_MM:
        raise InputError(
            f"its header makes the scan {longest_mm:.0f} mm long",
            remedy="Mend the voxel size in the header: it must be in mm.",
        )


@dataclass(frozen=True, eq=False)
class _Found:
    placed: Placed | None
    verdicts: tuple[Verdict, ...]
    attempts: tuple[Attempt, ...]


def _centred(flair: Volume, brain: NDArray[np.bool_], route: Route) -> _Found:
    """By the brain's centre alone; what the gates would refuse is then only doubted."""
    matrix = centre_on_atlas(brain, flair.affine, route.grid)
    view = view_of(route.atlas)
    share = carried(brain, flair.affine, inverse(matrix) @ view.grid.affine, view.grid.shape)
    overlap = brain_overlap(Aligned(share, share >= 0.5, view, matrix))
    if overlap.status == "failed":
        overlap = overlap.model_copy(update={"status": "doubtful"})
    return _Found(Placed(brain, matrix, METHOD), (overlap,), ())


def _registered(
    flair: Volume,
    brain: NDArray[np.bool_],
    route: Route,
    age_years: float | None,
    clock: Clock,
) -> _Found:
    view = view_of(route.atlas)
    with clock.step("bias field"):
        frame = frame_of(flair, brain)
    with clock.step("registration"):
        registered = register(frame, view, _steps(flair, route))
    if registered.aligned is None:
        return _Found(None, registered.verdicts, registered.attempts)
    with clock.step("gates"):
        seen = registered.aligned
        verdicts = (orientation(seen), fluid(seen), t1_like(seen, age_years), *registered.verdicts)
    placed = Placed(brain, seen.atlas_from_native, registered.method)
    return _Found(placed, (*_noted(registered), *verdicts), registered.attempts)


def _steps(flair: Volume, route: Route) -> tuple[Step, ...]:
    model = route.settings.registration
    if model == "centre":  # Not asked here; the type does not know.
        return ()
    on_atlas = same_grid(flair, Volume(np.empty(SHAPE, dtype=np.bool_), AFFINE), tolerance_mm=0.5)
    return (AS_IT_LIES, *CHAINS[model]) if on_atlas else CHAINS[model]


def _noted(registered: Registered) -> tuple[Verdict, ...]:
    """Says so where a scan came in atlas space."""
    if registered.method != "none-identity":
        return ()
    return (
        Verdict(
            gate="already-registered",
            status="good",
            value=None,
            limits="",
            message="the scan lies on the atlas' grid and on its brain: it was left as it lies",
        ),
    )


def _quality(
    route: Route,
    stripped: Stripped,
    found: _Found,
    verdicts: tuple[Verdict, ...],
    clock: Clock,
) -> Quality:
    return Quality(
        status="failed" if found.placed is None else worst(verdicts),
        verdicts=verdicts,
        attempts=found.attempts,
        stripping=stripped.engine,
        atlas=route.atlas.name,
        seconds=dict(clock.seconds),
    )


def _rejected(found: _Found, verdicts: tuple[Verdict, ...], quality: Quality) -> RejectedScanError:
    bad = [verdict for verdict in verdicts if verdict.status == "failed"]
    if not bad:
        reason = f"no registration gave any map ({len(found.attempts)} tried)"
        return RejectedScanError(reason, "Look at the scan: is it a head?", quality, None)
    reason = "; ".join(verdict.message for verdict in bad)
    return RejectedScanError(reason, bad[0].remedy, quality, found.placed)
