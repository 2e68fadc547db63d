"""What all settings have in common: frozen typed records, and the types that recur in them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
NonNegative = Annotated[float, Field(ge=0.0)]
Triple = tuple[PositiveInt, PositiveInt, PositiveInt]
Arm = Literal["single", "multitask"]


class Settings(BaseModel):
    """Base of all settings: frozen; unknown keys, infinity and NaN are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
