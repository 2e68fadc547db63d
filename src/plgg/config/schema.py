"""`Config`: all settings of one run as one frozen typed record, and the named presets.

The defaults are the preset `paper`: the published method, its open points settled as faithfully as
we know how.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from plgg.config.base import Arm, Count, Sequence, Settings, Text
from plgg.config.labels import Label
from plgg.config.network import MarkerHeadConfig, ModelConfig
from plgg.config.scan import GridConfig, InferenceConfig, PreprocessConfig
from plgg.config.tasks import (
    MARKER,
    SEGMENTATION,
    TaskConfig,
    Tasks,
    default_tasks,
    require_task_rules,
)
from plgg.config.training import (
    SUMMED,
    Augmentation,
    ExecutionConfig,
    InitConfig,
    LossConfig,
    OptimiserConfig,
    PatchConfig,
)


class Config(Settings):
    """All settings of a run; saved in its folder, resolved."""

    preset: Text = "paper"
    channels: Annotated[
        tuple[Sequence, ...],
        Field(
            min_length=1,
            max_length=7,
            description="MR sequences that the network sees, by their columns in the manifest. The "
            "first that a patient has is the reference: the mask lies on it, the others are "
            "registered to it. One that a patient lacks is 0",
        ),
    ] = ("flair",)
    arm: Arm = "multitask"
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    grid: GridConfig = GridConfig()
    preprocess: PreprocessConfig = PreprocessConfig()
    tasks: Tasks = Field(
        default_factory=default_tasks,
        description="What the network learns, by name: {name: kind} or {name: {kind, column, "
        "weight}}. The arm single learns the segmentation alone, multitask all",
    )
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    patches: PatchConfig = PatchConfig()
    optimiser: OptimiserConfig = OptimiserConfig()
    init: InitConfig = InitConfig()
    execution: ExecutionConfig = ExecutionConfig()
    inference: InferenceConfig = InferenceConfig()
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    validate_every: Annotated[Count, Field(ge=1, description="Epochs between validations")] = 5

    def __hash__(self) -> int:
        """Hash of the contents as JSON, since a dict of tasks has none."""
        return hash(self.model_dump_json())

    @property
    def n_inputs(self) -> int:
        """Number of input channels: sequences, and neighbouring slices of each."""
        return len(self.channels) * (1 + 2 * self.model.neighbours)

    @property
    def labels(self) -> tuple[Label, ...]:
        """Regions of the mask, the whole tumour first; empty where any value above 0 is it."""
        return self.tasks[SEGMENTATION].labels

    @property
    def n_outlines(self) -> int:
        """Number of regions that the network segments."""
        return max(1, len(self.labels))

    @property
    def auxiliary(self) -> dict[str, TaskConfig]:
        """The tasks beside the segmentation that this arm learns, by name."""
        if self.arm == "single":
            return {}
        return {name: task for name, task in self.tasks.items() if name != SEGMENTATION}

    @property
    def has_marker(self) -> bool:
        """Whether this arm predicts the marker."""
        return MARKER in self.auxiliary

    @property
    def task_weights(self) -> dict[str, float]:
        """Initial weight of each task's loss: 1 and λ, unless the settings give another."""
        weights = {SEGMENTATION: self.tasks[SEGMENTATION].weight}
        weights |= {name: task.weight for name, task in self.auxiliary.items()}
        default = {SEGMENTATION: 1.0}
        return {
            name: default.get(name, self.loss.marker_weight) if weight is None else weight
            for name, weight in weights.items()
        }

    @model_validator(mode="after")
    def _tasks_fit(self) -> Self:
        require_task_rules(self.tasks)
        if "clinical" in self.model.marker.inputs:
            for name, task in self.auxiliary.items():
                if (task.column or name) in {"age_years", "sex"}:
                    raise ValueError(
                        f"the task {name} would be told its own answer: leave clinical out of "
                        "model.marker.inputs"
                    )
        if self.model.marker.guides_outline and self.auxiliary and not self.has_marker:
            raise ValueError("model.marker.guides_outline needs the task marker")
        return self

    @model_validator(mode="after")
    def _cap_fits(self) -> Self:
        # Other weightings rescale the gradients themselves, before or after the cap.
        if self.model.marker.gradient_cap is not None and self.loss.weighting not in SUMMED:
            raise ValueError(
                f"model.marker.gradient_cap needs gradients that are added up "
                f"(loss.weighting={', '.join(SUMMED)}): {self.loss.weighting} balances them itself"
            )
        return self

    @model_validator(mode="after")
    def _channels_once(self) -> Self:
        if len(set(self.channels)) < len(self.channels):
            raise ValueError("channels names a sequence twice")
        return self

    @model_validator(mode="after")
    def _patch_fits(self) -> Self:
        divisors = self.model.divisors
        wanted = ", ".join(map(str, divisors)) if len(set(divisors)) > 1 else str(divisors[0])
        for name, sides in (
            ("patches.size", self.patches.size),
            ("inference.window", self.inference.window or divisors),
        ):
            if any(side % divisor for side, divisor in zip(sides, divisors, strict=True)):
                raise ValueError(f"{name} must be multiples of {wanted}")
        if self.model.neighbours and 2 in self.patches.augmentation.flip_axes:
            raise ValueError("model.neighbours needs patches.augmentation.flip_axes without 2")
        whole = self.loss.dice_over == "batch" or self.model.sliced
        if whole and self.execution.accumulate > 1:
            name = "loss.dice_over=batch" if self.loss.dice_over == "batch" else "this backbone"
            raise ValueError(f"{name} needs execution.accumulate=1")
        return self


PRESETS: dict[str, Config] = {
    "paper": Config(preset="paper"),
    "small": Config(
        preset="small",
        grid=GridConfig(spacing_mm=2.0),
        model=ModelConfig(init_filters=16, marker=MarkerHeadConfig(inputs=("average", "tumour"))),
        # 160×192×144 mm: the whole brain of most patients. A network with group normalisation that
        # was trained on halves of brains outlines far too much on whole ones (docs/results.md).
        patches=PatchConfig(size=(80, 96, 72), batch=1),
        optimiser=OptimiserConfig(learning_rate=1e-3, warmup_epochs=1, epochs=24),
        validate_every=2,
    ),
    "best": Config(
        preset="best",
        grid=GridConfig(kind="slices", spacing_mm=2.5),
        model=ModelConfig(
            backbone="efficientnet_lite0",
            neighbours=1,
            marker=MarkerHeadConfig(inputs=("outlined",), hidden=(128,), teaches_encoder=False),
        ),
        loss=LossConfig(voxel_weight=1.0, dice_over="batch", gradients_every=0),
        patches=PatchConfig(
            size=(112, 144, 1),
            batch=12,
            tumour_share=0.5,
            marker_from="tumour",
            per_case=8,
            augmentation=Augmentation(
                shift=0.2,
                scale=0.2,
                warp=1.0,
                rotation_deg=20.0,
                zoom=0.25,
                gamma=0.5,
                bias=0.5,
                noise=0.5,
                elastic=1.0,
                smoothing=0.15,
                neighbour_dropout=0.08,
            ),
        ),
        optimiser=OptimiserConfig(
            learning_rate=2e-3,
            encoder_rate=0.3,
            weight_decay=0.01,
            decoupled=True,
            schedule="cosine",
            warmup_epochs=1,
            clip_norm=5.0,
            ema=0.98,
            epochs=20,
        ),
        init=InitConfig(imagenet=True),
        inference=InferenceConfig(mirror=True, zooms=(1.0, 1.25), marker_from="best"),
        precision="fp32",
        # The rate falls to 0, and the last weights are the best: nothing is left to choose by a
        # handful of validation patients.
        validate_every=20,
    ),
}
