"""`Quality`: verdicts of the gates and registration attempts of one scan.

Records for the store, the QC pictures and the reports. The gates are in `plgg.preprocess.gates`.
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
    """Verdict of one gate.

    Attributes:
        gate: Its name, such as `brain-overlap`.
        status: `failed` keeps the case out of the store.
        value: Measured value; None where there is none.
        limits: Limits of the value, in words, such as `0.85 or more`.
        message: One clause for readers.
        remedy: What to do, where there is something to do.
    """

    gate: str
    status: Status
    value: float | None
    limits: str
    message: str
    remedy: str = ""


class Attempt(_Record):
    """One attempt at registration.

    Attributes:
        engine: `greedy` or `simpleitk`.
        model: Transform model, which has 6, 7 or 12 degrees of freedom; `none` has none.
        start: How it was initialised.
        seconds: Wall time.
        accepted: Whether it passed its gates.
        reason: Why it was not accepted; empty otherwise.
    """

    engine: str
    model: Literal["rigid", "similarity", "affine", "none"]
    start: str
    seconds: float
    accepted: bool
    reason: str = ""


class Quality(_Record):
    """Verdicts and registration attempts of one case.

    Attributes:
        status: The worst of the verdicts.
        verdicts: One verdict for each gate.
        attempts: Attempts at registration, in their order.
        stripping: Tool of skull stripping: `none` (stripped already), `deepbet` or `hd-bet`.
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
