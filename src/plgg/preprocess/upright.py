"""A scan judged as its header has it lie and, where the gates refuse that, the other way up.

A head that a header turns is turned back, judged by all gates once more, and never better than
doubtful: a header that is wrong about one axis cannot be trusted about left and right. Only turns
are tried. A mirror image looks like a head, and none is undone here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from plgg.errors import InputError
from plgg.io.quality import Attempt, Verdict, worst
from plgg.preprocess.gates.orientation import orientation
from plgg.preprocess.judged import Judged, judge_once
from plgg.preprocess.registration import CHAINS, Frame, register, view_of
from plgg.preprocess.registration.turns import angle_deg, likely_turns, named, posture, turned
from plgg.preprocess.setup import Route
from plgg.volume import Affine, Volume
from plgg.watch import Clock

# What refuses a head that lies otherwise than its header says. Contrasts are not among these:
# alone, they are those of another sequence, which no registration mends.
_LIES_WRONG = {"orientation", "scale", "shear", "rotation", "brain-overlap", "similarity"}
_MOST_TURNS = 3


def judge(flair: Volume, route: Route, age_years: float | None, clock: Clock) -> Judged:
    """Find a scan's brain and its place on the atlas, and judge both.

    Args:
        flair: Native scan, skull on or off, however it lies.
        route: Grid, settings and atlas.
        age_years: At the scan, where known: brains grow.
        clock: Told of each step.

    Returns:
        What was found with the head as it lies or, where that is refused and a turn mends it,
        turned; its matrix leads from the native world as the header has it in either case.

    Raises:
        InputError: If there is no brain in the scan.
    """
    first = judge_once(flair, route, age_years, clock)
    if first.frame is None or not _lies_wrong(first):
        return first
    tried: list[Attempt] = []
    for turn in _upright_turns(first.frame, route, tried, clock):
        again = _judged_turned(flair, turn, route, age_years, clock)
        if again:
            return replace(again, attempts=(*_refused(first), *tried, *again.attempts))
    return replace(first, attempts=(*first.attempts, *tried))


def _lies_wrong(found: Judged) -> bool:
    """Whether a scan is refused for how it lies, or no registration gave any map."""
    failed = {verdict.gate for verdict in found.verdicts if verdict.status == "failed"}
    return found.placed is None or bool(failed & _LIES_WRONG)


def _upright_turns(
    frame: Frame, route: Route, tried: list[Attempt], clock: Clock
) -> Iterator[Affine]:
    """Turns after which one registration finds the head upright; the others go to `tried`."""
    view = view_of(route.atlas)
    model = route.settings.registration
    if model == "centre":  # Not asked here; the type does not know.
        return
    for turn in likely_turns(frame, view, _MOST_TURNS):
        with clock.step("registration"):
            quick = register(turned(frame, turn), view, CHAINS[model][:1])
        with clock.step("gates"):
            upright = orientation(quick.aligned) if quick.aligned else None
        if upright and upright.status == "good":
            yield turn
            continue
        reason = upright.message if upright else ""
        tried += [_not_accepted(_named(attempt), reason) for attempt in quick.attempts]


def _judged_turned(
    flair: Volume, turn: Affine, route: Route, age_years: float | None, clock: Clock
) -> Judged | None:
    """A scan as it would lie if its header were turned; None where any gate still refuses it."""
    try:
        found = judge_once(Volume(flair.data, turn @ flair.affine), route, age_years, clock)
    except InputError:  # No brain is found that way up.
        return None
    upright = [verdict.status for verdict in found.verdicts if verdict.gate == "orientation"]
    if found.placed is None or worst(found.verdicts) == "failed" or upright != ["good"]:
        return None
    placed = replace(
        found.placed,
        native_to_atlas=found.placed.native_to_atlas @ turn,
        method=f"{found.placed.method}-turned",
    )
    return replace(
        found,
        placed=placed,
        attempts=tuple(_named(attempt) for attempt in found.attempts),
        verdicts=(_doubt(turn[:3, :3]), *found.verdicts),
    )


def _doubt(turn: NDArray[np.float64]) -> Verdict:
    """What is said of a head that was turned, whatever the other gates say."""
    return Verdict(
        gate="header-orientation",
        status="doubtful",
        value=round(angle_deg(turn), 1),
        limits="0°",
        message=f"the header puts this head {posture(turn)}: it fits the atlas {named(turn)} and "
        "was laid there so, but left and right may be exchanged",
        remedy="Compare left and right with the original, and mend the orientation in the header.",
    )


def _refused(found: Judged) -> tuple[Attempt, ...]:
    """The attempts as the head lay, of which the gates refused what the chain had accepted."""
    reason = "; ".join(v.message for v in found.verdicts if v.status == "failed")
    return tuple(
        _not_accepted(attempt, reason) if attempt.accepted else attempt
        for attempt in found.attempts
    )


def _not_accepted(attempt: Attempt, reason: str) -> Attempt:
    reasons = "; ".join(text for text in (attempt.reason, reason) if text)
    return attempt.model_copy(update={"accepted": False, "reason": reasons})


def _named(attempt: Attempt) -> Attempt:
    """An attempt that began with the head turned, by its start."""
    return attempt.model_copy(update={"start": f"turned-{attempt.start}"})
