"""What all settings have in common: frozen typed records, and the types that recur in them."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
NonNegative = Annotated[float, Field(ge=0.0, le=1e6)]
Positive = Annotated[float, Field(gt=0.0, le=1e6)]
Count = Annotated[int, Field(ge=0, le=1_000_000)]
"""Of what is repeated: epochs, steps, crops."""
Few = Annotated[int, Field(ge=1, le=64)]
"""Of what is built: blocks of a level, pieces of a batch."""
Width = Annotated[int, Field(ge=1, le=1024)]
"""Channels of a layer; voxels of a side; crops of a batch."""
Triple = tuple[Width, Width, Width]
Text = Annotated[str, Field(max_length=4096)]
"""A name, a hash or a path."""
Arm = Literal["single", "multitask"]


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


class Settings(BaseModel):
    """Base of all settings: frozen; unknown keys, infinity and NaN are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
