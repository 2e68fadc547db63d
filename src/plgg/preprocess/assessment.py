"""Brain extraction, registration and gates of one scan, with correction of its orientation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from plgg.core.errors import InputError
from plgg.core.progress import Clock
from plgg.core.volume import Affine, Volume, inverse, same_grid
from plgg.data.atlas.grid import AFFINE, SHAPE
from plgg.data.quality import Attempt, Verdict, worst
from plgg.preprocess.brain_extraction import BrainExtraction, find_brain
from plgg.preprocess.gates.registration import brain_overlap, orientation
from plgg.preprocess.gates.scan import ask_gates, contrast
from plgg.preprocess.grid import sri24_grid
from plgg.preprocess.register import CHAINS, IDENTITY_STEP, Registration, RegistrationStep, register
from plgg.preprocess.registration.frame import AlignedScan, Frame, carried, frame_of, view_of
from plgg.preprocess.registration.start import METHOD, AtlasPosition, centre_on_atlas
from plgg.preprocess.registration.turns import angle_deg, likely_turns, named, posture, turned
from plgg.preprocess.setup import Route


@dataclass(frozen=True, eq=False)
class ScanAssessment:
    """Brain, position on the atlas and gate verdicts of one scan.

    Attributes:
        stripped: The brain mask, and how it was found.
        placed: The brain's position on the atlas; None where registration was not run or failed.
        verdicts: Of all gates that were run.
        attempts: All registration attempts, in order.
        frame: The brain image that was registered; None where registration was not run.
    """

    stripped: BrainExtraction
    placed: AtlasPosition | None = None
    verdicts: tuple[Verdict, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    frame: Frame | None = None


def _assess_in_orientation(
    flair: Volume,
    route: Route,
    age_years: float | None,
    clock: Clock,
    stripped: BrainExtraction | None = None,
) -> ScanAssessment:
    """Brain, position and verdicts of a scan in the orientation that its affine gives."""
    if stripped is None:
        with clock.step("brain"):
            stripped = find_brain(flair, route.settings.stripping)
    looked = ask_gates(flair, stripped.brain, age_years)
    if worst(looked) == "failed":  # Half a brain can be stretched over any atlas.
        return ScanAssessment(stripped, verdicts=tuple(looked))
    if route.settings.registration == "centre":
        found = _position_by_centre(flair, stripped, route)
    else:
        found = _position_by_registration(flair, stripped, route, age_years, clock)
    return replace(found, verdicts=(*looked, *found.verdicts))


def _position_by_centre(flair: Volume, stripped: BrainExtraction, route: Route) -> ScanAssessment:
    """Position by the brain's centre alone; a failed overlap then counts as doubtful."""
    brain = stripped.brain
    matrix = centre_on_atlas(brain, flair.affine, sri24_grid(route.grid.spacing_mm))
    view = view_of(route.atlas)
    share = carried(brain, flair.affine, inverse(matrix) @ view.grid.affine, view.grid.shape)
    overlap = brain_overlap(AlignedScan(share, share >= 0.5, view, matrix))
    if overlap.status == "failed":
        overlap = overlap.model_copy(update={"status": "doubtful"})
    return ScanAssessment(stripped, AtlasPosition(brain, matrix, METHOD), (overlap,))


def _position_by_registration(
    flair: Volume, stripped: BrainExtraction, route: Route, age_years: float | None, clock: Clock
) -> ScanAssessment:
    with clock.step("bias field"):
        frame = frame_of(flair, stripped.brain)
    with clock.step("registration"):
        registered = register(frame, view_of(route.atlas), _registration_steps(flair, route))
    seen = registered.aligned
    if seen is None:
        return ScanAssessment(stripped, None, registered.verdicts, registered.attempts, frame)
    with clock.step("gates"):
        verdicts = (
            orientation(seen),
            *contrast(seen, age_years, route.sequence),
            *registered.verdicts,
        )
    placed = AtlasPosition(stripped.brain, seen.atlas_from_native, registered.method)
    verdicts = (*_atlas_space_verdicts(registered), *verdicts)
    return ScanAssessment(stripped, placed, verdicts, registered.attempts, frame)


def _registration_steps(flair: Volume, route: Route) -> tuple[RegistrationStep, ...]:
    model = route.settings.registration
    if model == "centre":  # Not asked here; the type does not know.
        return ()
    on_atlas = same_grid(flair, Volume(np.empty(SHAPE, dtype=np.bool_), AFFINE), tolerance_mm=0.5)
    return (IDENTITY_STEP, *CHAINS[model]) if on_atlas else CHAINS[model]


def _atlas_space_verdicts(registered: Registration) -> tuple[Verdict, ...]:
    """A verdict that the scan was in atlas space already; empty if it was not."""
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


# Gates whose failure points to a wrong orientation in the header. The contrast gates are not among
# them: on their own they point to another sequence, which no registration corrects. A doubtful
# `orientation` is enough: a head that is back to front still overlaps the atlas well.
_ORIENTATION_GATES = {"orientation", "scale", "shear", "rotation", "brain-overlap", "similarity"}
_MAX_TURNS = 3


def assess_scan(
    flair: Volume,
    route: Route,
    age_years: float | None,
    clock: Clock,
    *,
    stripped: BrainExtraction | None = None,
) -> ScanAssessment:
    """Find a scan's brain and its position on the atlas, and run the gates on both.

    Args:
        flair: Native scan, with or without skull, in any orientation.
        route: Grid, settings and atlas.
        age_years: Age at the scan, where known; limits of some gates depend on it.
        clock: Measures the time of each step.
        stripped: Its brain, where it was found already.

    Returns:
        The assessment in the header's orientation. If gates point to a wrong orientation and a
        rotation corrects it, the assessment with that rotation. In both cases its matrix leads
        from the native world of the header.

    Raises:
        InputError: If there is no brain in the scan.
    """
    first = _assess_in_orientation(flair, route, age_years, clock, stripped)
    if first.frame is None or not _is_misoriented(first):
        return first
    tried: list[Attempt] = []
    for turn in _upright_turns(first.frame, route, tried, clock):
        again = _assess_turned(flair, turn, route, age_years, clock)
        if again:
            return replace(again, attempts=(*_rejected_attempts(first), *tried, *again.attempts))
    return replace(first, attempts=(*first.attempts, *tried))


def _is_misoriented(found: ScanAssessment) -> bool:
    """Whether gates point to a wrong orientation, or no registration gave a transform."""
    return found.placed is None or any(map(_indicates_misorientation, found.verdicts))


def _indicates_misorientation(verdict: Verdict) -> bool:
    if verdict.gate == "orientation":
        return verdict.status != "good"
    return verdict.gate in _ORIENTATION_GATES and verdict.status == "failed"


def _upright_turns(
    frame: Frame, route: Route, tried: list[Attempt], clock: Clock
) -> Iterator[Affine]:
    """Yield rotations with which a quick registration is upright; the others go to `tried`."""
    view = view_of(route.atlas)
    model = route.settings.registration
    if model == "centre":  # Not asked here; the type does not know.
        return
    for turn in likely_turns(frame, view, _MAX_TURNS):
        with clock.step("registration"):
            quick = register(turned(frame, turn), view, CHAINS[model][:1])
        with clock.step("gates"):
            upright = orientation(quick.aligned) if quick.aligned else None
        if upright and upright.status == "good":
            yield turn
            continue
        reason = upright.message if upright else ""
        tried += [
            _reject_attempt(_with_turned_start(attempt), reason) for attempt in quick.attempts
        ]


def _assess_turned(
    flair: Volume, turn: Affine, route: Route, age_years: float | None, clock: Clock
) -> ScanAssessment | None:
    """Assess a scan with a rotated affine; None if a gate fails or `orientation` is not good."""
    try:
        found = _assess_in_orientation(
            Volume(flair.data, turn @ flair.affine), route, age_years, clock
        )
    except InputError:  # No brain is found that way up.
        return None
    upright = [verdict.status for verdict in found.verdicts if verdict.gate == "orientation"]
    if found.placed is None or worst(found.verdicts) == "failed" or upright != ["good"]:
        return None
    placed = replace(
        found.placed,
        native_to_atlas=found.placed.native_to_atlas @ turn,
        method=f"{found.placed.method}-turned",
        turn=turn,
    )
    return replace(
        found,
        placed=placed,
        attempts=tuple(_with_turned_start(attempt) for attempt in found.attempts),
        verdicts=(_corrected_orientation_verdict(turn[:3, :3]), *found.verdicts),
    )


def _corrected_orientation_verdict(turn: NDArray[np.float64]) -> Verdict:
    """The doubtful verdict on every head whose orientation was corrected."""
    return Verdict(
        gate="header-orientation",
        status="doubtful",
        value=round(angle_deg(turn), 1),
        limits="0°",
        message=f"the header puts this head {posture(turn)}: it fits the atlas {named(turn)} and "
        "was laid there so, but left and right may be exchanged",
        remedy="Compare left and right with the original, and mend the orientation in the header.",
    )


def _rejected_attempts(found: ScanAssessment) -> tuple[Attempt, ...]:
    """The attempts in the header's orientation; the accepted one is now marked as rejected."""
    against = (v for v in found.verdicts if v.status == "failed" or _indicates_misorientation(v))
    reason = "; ".join(verdict.message for verdict in against)
    return tuple(
        _reject_attempt(attempt, reason) if attempt.accepted else attempt
        for attempt in found.attempts
    )


def _reject_attempt(attempt: Attempt, reason: str) -> Attempt:
    reasons = "; ".join(text for text in (attempt.reason, reason) if text)
    return attempt.model_copy(update={"accepted": False, "reason": reasons})


def _with_turned_start(attempt: Attempt) -> Attempt:
    """Mark an attempt as made with a rotated affine, in the name of its start."""
    return attempt.model_copy(update={"start": f"turned-{attempt.start}"})
