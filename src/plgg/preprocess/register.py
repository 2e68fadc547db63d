"""Registration that does not fail silently: attempts in turn until one passes its gates.

Each attempt is an engine, a model and a start. The first that is good ends the chain. If none is,
the best of the doubtful ones is taken; if all fail, the least bad one is returned as not accepted.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from plgg.core.volume import Affine
from plgg.data.quality import Attempt, Verdict, worst
from plgg.preprocess.gates.registration import brain_overlap, rotation, scale, shear, similarity
from plgg.preprocess.registration.engines import greedy, simpleitk
from plgg.preprocess.registration.frame import AlignedScan, AtlasView, Frame, Model, align
from plgg.preprocess.registration.start import STARTS

log = logging.getLogger(__name__)
Engine = Callable[[Frame, Frame, Affine, Model], Affine]
ENGINES: dict[str, Engine] = {"greedy": greedy, "simpleitk": simpleitk}


@dataclass(frozen=True)
class RegistrationStep:
    """One attempt: names of an engine, of a start, and models in the order they are fitted."""

    engine: str
    start: str
    models: tuple[Model, ...]


@dataclass(frozen=True, eq=False)
class Registration:
    """Result of a chain of registration attempts.

    Attributes:
        aligned: The scan on the atlas by the accepted attempt, or by the least bad one; None if
            no attempt gave a transform.
        verdicts: Of its gates.
        attempts: All attempts, in order.
        method: Of that attempt, such as `greedy-affine-mass`.
    """

    aligned: AlignedScan | None
    verdicts: tuple[Verdict, ...]
    attempts: tuple[Attempt, ...]
    method: str


CHAINS: dict[Model, tuple[RegistrationStep, ...]] = {
    "affine": (
        RegistrationStep("greedy", "mass", ("affine",)),
        RegistrationStep("greedy", "mass", ("similarity", "affine")),
        RegistrationStep("greedy", "centre", ("similarity", "affine")),
        RegistrationStep("greedy", "search", ("similarity", "affine")),
        RegistrationStep("greedy", "search", ("similarity",)),
        RegistrationStep("simpleitk", "mass", ("similarity", "affine")),
    ),
    "similarity": (
        RegistrationStep("greedy", "mass", ("similarity",)),
        RegistrationStep("greedy", "centre", ("similarity",)),
        RegistrationStep("greedy", "search", ("similarity",)),
        RegistrationStep("simpleitk", "mass", ("similarity",)),
    ),
    # Only starts that do not scale, because a rigid fit would keep their scale.
    "rigid": (
        RegistrationStep("greedy", "centre", ("rigid",)),
        RegistrationStep("greedy", "tilted", ("rigid",)),
        RegistrationStep("simpleitk", "centre", ("rigid",)),
    ),
}
# A scan on the atlas' own grid was registered before; that is kept if it passes the gates.
IDENTITY_STEP = RegistrationStep("none", "identity", ())


def register(moving: Frame, atlas: AtlasView, steps: Sequence[RegistrationStep]) -> Registration:
    """Try the steps of a chain in turn.

    Args:
        moving: The scan's brain on its working grid.
        atlas: The atlas.
        steps: The attempts; see `CHAINS`.
    """
    attempts: list[Attempt] = []
    found: list[Registration] = []
    for step in steps:
        began = time.perf_counter()
        tried = _run_step(moving, atlas, step)
        seconds = round(time.perf_counter() - began, 3)
        status = worst(tried.verdicts) if tried.aligned else "failed"
        attempts.append(_attempt(step, tried, seconds, accepted=status == "good"))
        found.append(tried)
        if status == "good":
            break
    best = min(range(len(found)), key=lambda index: (_rank(found[index]), index))
    usable = found[best].aligned is not None and worst(found[best].verdicts) != "failed"
    attempts[best] = attempts[best].model_copy(update={"accepted": usable})
    chosen = found[best]
    return Registration(chosen.aligned, chosen.verdicts, tuple(attempts), chosen.method)


def judge_registration(aligned: AlignedScan) -> tuple[Verdict, ...]:
    """Verdicts of all gates on a registration."""
    matrix = aligned.atlas_from_native
    return (
        scale(matrix),
        shear(matrix),
        rotation(matrix),
        brain_overlap(aligned),
        similarity(aligned),
    )


def _run_step(moving: Frame, atlas: AtlasView, step: RegistrationStep) -> Registration:
    method = "-".join((step.engine, *step.models[-1:], step.start))
    try:
        matrix = STARTS[step.start](moving, atlas)
        for model in step.models:
            matrix = ENGINES[step.engine](atlas.frame, moving, matrix, model)
        aligned = align(moving, atlas, matrix)
    except (RuntimeError, ValueError, np.linalg.LinAlgError) as error:
        log.info("%s gave up: %s", method, error)
        return Registration(None, (), (), method)
    return Registration(aligned, judge_registration(aligned), (), method)


def _rank(tried: Registration) -> tuple[int, float]:
    """Lower is better: first by the worst verdict, then by the overlap."""
    if tried.aligned is None:
        return (3, 0.0)
    overlap = next(v.value or 0.0 for v in tried.verdicts if v.gate == "brain-overlap")
    return (("good", "doubtful", "failed").index(worst(tried.verdicts)), -overlap)


def _attempt(
    step: RegistrationStep, tried: Registration, seconds: float, *, accepted: bool
) -> Attempt:
    return Attempt(
        engine=step.engine,
        model=step.models[-1] if step.models else "none",
        start=step.start,
        seconds=seconds,
        accepted=accepted,
        reason="; ".join(_reasons(tried)),
    )


def _reasons(tried: Registration) -> Iterator[str]:
    if tried.aligned is None:
        yield "the engine gave up"
    yield from (verdict.message for verdict in tried.verdicts if verdict.status != "good")
