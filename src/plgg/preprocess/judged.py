"""Brain, registration and gates of one scan that lies as its header says."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from plgg.io.quality import Attempt, Verdict, worst
from plgg.io.sri24 import AFFINE, SHAPE
from plgg.preprocess.gates.brain_volume import brain_volume
from plgg.preprocess.gates.field_of_view import field_of_view
from plgg.preprocess.gates.orientation import orientation
from plgg.preprocess.gates.overlap import brain_overlap
from plgg.preprocess.gates.sequence import fluid, t1_like
from plgg.preprocess.place import METHOD, Placed, centre_on_atlas
from plgg.preprocess.registration import (
    AS_IT_LIES,
    CHAINS,
    Frame,
    Registered,
    Step,
    frame_of,
    register,
    view_of,
)
from plgg.preprocess.registration.aligned import Aligned, carried
from plgg.preprocess.setup import Route
from plgg.preprocess.strip import Stripped, find_brain
from plgg.volume import Volume, inverse, same_grid
from plgg.watch import Clock


@dataclass(frozen=True, eq=False)
class Judged:
    """Where a scan lies, and what the gates say of it.

    Attributes:
        stripped: Its brain.
        placed: Where that lies on the atlas; None where nothing was found, or looked for.
        verdicts: Of all gates that were asked.
        attempts: All registrations that were tried, in order.
        frame: What registration saw; None where it was not asked.
    """

    stripped: Stripped
    placed: Placed | None = None
    verdicts: tuple[Verdict, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    frame: Frame | None = None


def judge_once(flair: Volume, route: Route, age_years: float | None, clock: Clock) -> Judged:
    """Find a scan's brain and its place on the atlas as its header has it lie, and judge both.

    Args:
        flair: Native scan, skull on or off, however it lies.
        route: Grid, settings and atlas.
        age_years: At the scan, where known: brains grow.
        clock: Told of each step.

    Raises:
        InputError: If there is no brain in the scan.
    """
    with clock.step("brain"):
        stripped = find_brain(flair, route.settings.stripping)
    size = brain_volume(float(stripped.brain.sum()) * flair.voxel_volume_ml, age_years)
    looked = [size]
    if size.status != "failed":  # Faces cannot be told on what has no size.
        looked.append(field_of_view(stripped.brain, flair.affine))
    if worst(looked) == "failed":  # Half a brain can be stretched over any atlas.
        return Judged(stripped, verdicts=tuple(looked))
    if route.settings.registration == "centre":
        found = _centred(flair, stripped, route)
    else:
        found = _registered(flair, stripped, route, age_years, clock)
    return replace(found, verdicts=(*looked, *found.verdicts))


def _centred(flair: Volume, stripped: Stripped, route: Route) -> Judged:
    """By the brain's centre alone; what the gates would refuse is then only doubted."""
    brain = stripped.brain
    matrix = centre_on_atlas(brain, flair.affine, route.grid)
    view = view_of(route.atlas)
    share = carried(brain, flair.affine, inverse(matrix) @ view.grid.affine, view.grid.shape)
    overlap = brain_overlap(Aligned(share, share >= 0.5, view, matrix))
    if overlap.status == "failed":
        overlap = overlap.model_copy(update={"status": "doubtful"})
    return Judged(stripped, Placed(brain, matrix, METHOD), (overlap,))


def _registered(
    flair: Volume, stripped: Stripped, route: Route, age_years: float | None, clock: Clock
) -> Judged:
    with clock.step("bias field"):
        frame = frame_of(flair, stripped.brain)
    with clock.step("registration"):
        registered = register(frame, view_of(route.atlas), _steps(flair, route))
    seen = registered.aligned
    if seen is None:
        return Judged(stripped, None, registered.verdicts, registered.attempts, frame)
    with clock.step("gates"):
        verdicts = (orientation(seen), fluid(seen), t1_like(seen, age_years), *registered.verdicts)
    placed = Placed(stripped.brain, seen.atlas_from_native, registered.method)
    verdicts = (*_noted(registered), *verdicts)
    return Judged(stripped, placed, verdicts, registered.attempts, frame)


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
