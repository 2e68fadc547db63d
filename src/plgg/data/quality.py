"""`Quality`: what was looked at when a scan was brought to the atlas, and what was found.

Plain records that go into the store, the pictures and the pages. The gates that make them are in
`plgg.preprocess.gates`; nothing is judged here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict

Status = Literal["good", "doubtful", "failed"]
_ORDER: tuple[Status, ...] = ("good", "doubtful", "failed")


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Verdict(_Record):
    """What one gate says.

    Attributes:
        gate: Its name, such as `brain-overlap`.
        status: `failed` keeps the case out of the store.
        value: What was measured; None where nothing could be.
        limits: What it is held against, in words, such as `0.85 or more`.
        message: One clause for people.
        remedy: What to do, where there is something to do.
    """

    gate: str
    status: Status
    value: float | None
    limits: str
    message: str
    remedy: str = ""


class Attempt(_Record):
    """One try at registration.

    Attributes:
        engine: `greedy` or `simpleitk`.
        model: Degrees of freedom by name.
        start: How it was initialised.
        seconds: Wall time.
        accepted: Whether its gates let it pass.
        reason: Why it was not accepted; empty otherwise.
    """

    engine: str
    model: Literal["rigid", "similarity", "affine", "none"]
    start: str
    seconds: float
    accepted: bool
    reason: str = ""


class Quality(_Record):
    """All of it for one case.

    Attributes:
        status: The worst of the verdicts.
        verdicts: One a gate.
        attempts: Tries at registration, in their order.
        stripping: What took the skull off: `none` (it was off), `deepbet` or `hd-bet`.
        atlas: Name of the atlas.
        seconds: Wall time of each step.
    """

    status: Status
    verdicts: tuple[Verdict, ...]
    attempts: tuple[Attempt, ...]
    stripping: str
    atlas: str
    seconds: dict[str, float]


def worst(verdicts: Iterable[Verdict]) -> Status:
    """The worst status among the verdicts; `good` for none."""
    return _ORDER[max((_ORDER.index(verdict.status) for verdict in verdicts), default=0)]
