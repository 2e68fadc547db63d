"""Base class of all settings, and the types that they share."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
NonNegative = Annotated[float, Field(ge=0.0, le=1e6)]
Positive = Annotated[float, Field(gt=0.0, le=1e6)]
Count = Annotated[int, Field(ge=0, le=1_000_000)]
"""Number of repetitions: epochs, steps, crops."""
Few = Annotated[int, Field(ge=1, le=64)]
"""Number of blocks of a level of a network."""
Width = Annotated[int, Field(ge=1, le=1024)]
"""Channels of a layer; voxels along a side; crops or pieces of a batch."""
Triple = tuple[Width, Width, Width]
Text = Annotated[str, Field(max_length=4096)]
"""A name, a hash or a path."""
Arm = Literal["single", "multitask"]
EXPECTED_DICE: Final = "expected-dice"
Threshold = Annotated[float, Field(gt=0.0, le=1.0)] | Literal["expected-dice"]
"""Probability from which a voxel is tumour: fixed, or chosen by scan (`plgg.measure.outline`)."""


Sequence = Literal["flair", "t1", "t1c", "t2", "pd", "swi", "adc"]
"""MR sequences: FLAIR, T1, T1 with contrast, T2, proton density, susceptibility, diffusivity."""
SEQUENCES: tuple[Sequence, ...] = get_args(Sequence)
TITLES: dict[str, str] = {
    "flair": "FLAIR",
    "t1": "T1",
    "t1c": "T1 with contrast",
    "t2": "T2",
    "pd": "PD",
    "swi": "SWI",
    "adc": "ADC",
}


log = logging.getLogger(__name__)


def drop_removed_settings(raw: Any, removed: Mapping[str, object]) -> Any:  # noqa: ANN401 - JSON is any
    """Drop settings of an earlier version that no longer exist.

    Args:
        raw: Settings as read; returned unchanged if they are no record.
        removed: Each name, and the value that is fixed now; other values give a warning.
    """
    if not isinstance(raw, dict):
        return raw
    for name, holds in removed.items():
        if name in raw and raw[name] != holds:
            log.warning("%s=%s of an earlier version has no effect any more", name, raw[name])
    return {name: value for name, value in raw.items() if name not in removed}


class Settings(BaseModel):
    """Base of all settings: frozen; unknown keys, infinity and NaN are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
