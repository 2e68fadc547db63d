"""Registration that does not fail silently: attempts in turn until one passes its gates.

Each attempt is an engine, a model and a start. The first that is good ends the chain; if none is,
the best of the doubtful ones is taken and said to be doubtful; if none is usable, that is said.
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
from plgg.preprocess.registration.frame import Aligned, AtlasView, Frame, Model, align
from plgg.preprocess.registration.start import STARTS

log = logging.getLogger(__name__)
Engine = Callable[[Frame, Frame, Affine, Model], Affine]
ENGINES: dict[str, Engine] = {"greedy": greedy, "simpleitk": simpleitk}


@dataclass(frozen=True)
class Step:
    """One way to try: names of an engine, of a start, and models in the order they are fitted."""

    engine: str
    start: str
    models: tuple[Model, ...]


@dataclass(frozen=True, eq=False)
class Registered:
    """What came of a chain.

    Attributes:
        aligned: The scan on the atlas by the attempt that was taken, or by the least bad one;
            None if no attempt gave any map.
        verdicts: Of its gates.
        attempts: All that was tried, in order.
        method: Of what was taken, such as `greedy-affine-mass`.
    """

    aligned: Aligned | None
    verdicts: tuple[Verdict, ...]
    attempts: tuple[Attempt, ...]
    method: str


CHAINS: dict[Model, tuple[Step, ...]] = {
    "affine": (
        Step("greedy", "mass", ("affine",)),
        Step("greedy", "mass", ("similarity", "affine")),
        Step("greedy", "centre", ("similarity", "affine")),
        Step("greedy", "search", ("similarity", "affine")),
        Step("greedy", "search", ("similarity",)),
        Step("simpleitk", "mass", ("similarity", "affine")),
    ),
    "similarity": (
        Step("greedy", "mass", ("similarity",)),
        Step("greedy", "centre", ("similarity",)),
        Step("greedy", "search", ("similarity",)),
        Step("simpleitk", "mass", ("similarity",)),
    ),
    # A rigid map must not take over the scale of a start.
    "rigid": (
        Step("greedy", "centre", ("rigid",)),
        Step("greedy", "tilted", ("rigid",)),
        Step("simpleitk", "centre", ("rigid",)),
    ),
}
# A scan on the atlas' own grid was registered before; that is kept if it holds.
AS_IT_LIES = Step("none", "identity", ())


def register(moving: Frame, atlas: AtlasView, steps: Sequence[Step]) -> Registered:
    """Try the steps of a chain in turn.

    Args:
        moving: The scan's brain on its working grid.
        atlas: The atlas.
        steps: What to try; see `CHAINS`.
    """
    attempts: list[Attempt] = []
    found: list[Registered] = []
    for step in steps:
        began = time.perf_counter()
        tried = _tried(moving, atlas, step)
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
    return Registered(chosen.aligned, chosen.verdicts, tuple(attempts), chosen.method)


def gate(aligned: Aligned) -> tuple[Verdict, ...]:
    """All that is asked of a registration."""
    matrix = aligned.atlas_from_native
    return (
        scale(matrix),
        shear(matrix),
        rotation(matrix),
        brain_overlap(aligned),
        similarity(aligned),
    )


def _tried(moving: Frame, atlas: AtlasView, step: Step) -> Registered:
    method = "-".join((step.engine, *step.models[-1:], step.start))
    try:
        matrix = STARTS[step.start](moving, atlas)
        for model in step.models:
            matrix = ENGINES[step.engine](atlas.frame, moving, matrix, model)
        aligned = align(moving, atlas, matrix)
    except (RuntimeError, ValueError, np.linalg.LinAlgError) as error:
        log.info("%s gave up: %s", method, error)
        return Registered(None, (), (), method)
    return Registered(aligned, gate(aligned), (), method)


def _rank(tried: Registered) -> tuple[int, float]:
    """Lower is better: first by the worst verdict, then by the overlap."""
    if tried.aligned is None:
        return (3, 0.0)
    overlap = next(v.value or 0.0 for v in tried.verdicts if v.gate == "brain-overlap")
    return (("good", "doubtful", "failed").index(worst(tried.verdicts)), -overlap)


def _attempt(step: Step, tried: Registered, seconds: float, *, accepted: bool) -> Attempt:
    return Attempt(
        engine=step.engine,
        model=step.models[-1] if step.models else "none",
        start=step.start,
        seconds=seconds,
        accepted=accepted,
        reason="; ".join(_reasons(tried)),
    )


def _reasons(tried: Registered) -> Iterator[str]:
    if tried.aligned is None:
        yield "the engine gave up"
    yield from (verdict.message for verdict in tried.verdicts if verdict.status != "good")
