"""All settings of one run, as one frozen typed record.

The defaults are the preset `paper`: the published method, its open points settled as faithfully as
we know how. Knows nothing of presets, files or the command line.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from plgg.config.base import Arm, Count, Settings, Text
from plgg.config.network import ModelConfig
from plgg.config.scan import GridConfig, InferenceConfig, PreprocessConfig
from plgg.config.training import (
    ExecutionConfig,
    InitConfig,
    LossConfig,
    OptimiserConfig,
    PatchConfig,
)


class Config(Settings):
    """All settings of a run; saved in its folder, resolved."""

    preset: Text = "paper"
    arm: Arm = "multitask"
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    grid: GridConfig = GridConfig()
    preprocess: PreprocessConfig = PreprocessConfig()
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    patches: PatchConfig = PatchConfig()
    optimiser: OptimiserConfig = OptimiserConfig()
    init: InitConfig = InitConfig()
    execution: ExecutionConfig = ExecutionConfig()
    inference: InferenceConfig = InferenceConfig()
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    validate_every: Annotated[Count, Field(ge=1, description="Epochs between validations")] = 5

    @model_validator(mode="after")
    def _patch_fits(self) -> Self:
        divisor = self.model.divisor
        if any(side % divisor for side in self.patches.size):
            raise ValueError(f"patches.size must be multiples of {divisor}")
        if any(side % divisor for side in self.inference.window or ()):
            raise ValueError(f"inference.window must be multiples of {divisor}")
        if self.loss.dice_over == "batch" and self.execution.accumulate > 1:
            raise ValueError("loss.dice_over=batch needs execution.accumulate=1")
        return self
