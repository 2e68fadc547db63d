"""The settings of one run, as frozen typed records.

The defaults are the preset `paper`: the published method, its open points settled as faithfully as
we know how. Knows nothing of presets, files or the command line.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
NonNegative = Annotated[float, Field(ge=0.0)]
Triple = tuple[PositiveInt, PositiveInt, PositiveInt]
Arm = Literal["single", "multitask"]


class Settings(BaseModel):
    """Base of all settings: frozen; unknown keys, infinity and NaN are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class GridConfig(Settings):
    """The grid of the store: SRI24's field of view, 240×240×155 mm, at this spacing."""

    spacing_mm: Annotated[float, Field(ge=0.5, le=8.0, description="Isotropic voxel size")] = 1.0


class PreprocessConfig(Settings):
    """How a scan gets onto the grid; a model is given its scans as those it was trained on."""

    atlas: Annotated[
        str,
        Field(
            min_length=1,
            description="built-in; sri24 (downloaded once); or the path of an atlas: a folder "
            "with SRI24, or one stripped template in its space",
        ),
    ] = "built-in"
    atlas_sha256: Annotated[
        str | None,
        Field(description="Hash of the atlas' contents; any other is refused. Stores fill it in"),
    ] = None
    registration: Annotated[
        Literal["centre", "rigid", "similarity", "affine"],
        Field(
            description="Degrees of freedom of the map to the atlas: 6, 7 or 12; centre moves the "
            "brain's centre there and does no more"
        ),
    ] = "affine"
    stripping: Annotated[
        Literal["auto", "deepbet", "hd-bet", "none"],
        Field(description="What takes the skull off; auto is deepbet where it is still on"),
    ] = "auto"
    n4: Annotated[
        bool,
        Field(
            description="Take the bias field out of the stored intensities as well; it is always "
            "taken out for registration"
        ),
    ] = False


class MarkerHeadConfig(Settings):
    """The classification branch: fully connected layers on the pooled bottleneck."""

    inputs: Annotated[
        tuple[Literal["average", "tumour"], ...],
        Field(
            min_length=1,
            description="What the marker is read from: the bottleneck's average (published); "
            "traits of the outlined tumour: place, size, brightness. Logits are summed",
        ),
    ] = ("average",)
    hidden: tuple[PositiveInt, ...] = (256, 128)
    dropout: Fraction = 0.2
    normalise: Annotated[
        bool,
        Field(
            description="Standardise the pooled features by running moments. Without it what all "
            "patients share drowns what tells them apart, and the branch dies in one answer"
        ),
    ] = True


class ModelConfig(Settings):
    """The U-Net after Myronenko and the branch on its bottleneck."""

    init_filters: PositiveInt = 32
    blocks_down: tuple[PositiveInt, ...] = (1, 2, 2, 4)
    blocks_up: tuple[PositiveInt, ...] = (1, 1, 1)
    norm_groups: PositiveInt = 8
    dropout: Annotated[Fraction, Field(description="On the first feature map")] = 0.0
    marker: MarkerHeadConfig = MarkerHeadConfig()

    @property
    def divisor(self) -> int:
        """Every side of an input must be a multiple of this."""
        return int(2 ** (len(self.blocks_down) - 1))

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(self.blocks_up) != len(self.blocks_down) - 1:
            raise ValueError("blocks_up needs one entry fewer than blocks_down")
        if self.init_filters % self.norm_groups:
            raise ValueError("init_filters must be a multiple of norm_groups")
        return self


class LossConfig(Settings):
    """L = L_segmentation + marker_weight · L_marker."""

    marker_weight: Annotated[NonNegative, Field(description="λ of the paper")] = 0.3
    dice_epsilon: Annotated[PositiveFloat, Field(description="ε in the denominator of eq. 2")] = (
        1e-5
    )
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


class Augmentation(Settings):
    """Random changes of a training patch."""

    flip: Annotated[Fraction, Field(description="Chance of a mirror image along an axis")] = 0.5
    flip_axes: Annotated[
        tuple[Literal[0, 1, 2], ...],
        Field(
            description="Axes to mirror: 0 left-right, 1 front-back, 2 up-down. Heads are alike "
            "only left and right, and the marker follows the place"
        ),
    ] = (0,)
    shift: Annotated[NonNegative, Field(description="Largest intensity shift, in σ")] = 0.1
    scale: Annotated[Fraction, Field(description="Largest relative intensity change")] = 0.1

    @model_validator(mode="after")
    def _axes_once(self) -> Self:
        if len(set(self.flip_axes)) < len(self.flip_axes):
            raise ValueError("flip_axes names an axis twice")
        return self


class PatchConfig(Settings):
    """What a training step looks at."""

    size: Triple = (128, 128, 112)
    batch: PositiveInt = 4
    tumour_share: Annotated[
        Fraction,
        Field(description="Share of crops centred near a tumour voxel; 0 is the paper's uniform"),
    ] = 0.0
    per_case: Annotated[PositiveInt, Field(description="Crops of each case in an epoch")] = 1
    augmentation: Augmentation = Augmentation()


class OptimiserConfig(Settings):
    """Adam and its schedule."""

    learning_rate: PositiveFloat = 1e-4
    weight_decay: NonNegative = 1e-5
    schedule: Literal["poly", "cosine", "constant"] = "poly"
    warmup_epochs: Annotated[int, Field(ge=0)] = 0
    clip_norm: Annotated[NonNegative, Field(description="Largest gradient norm; 0 is none")] = 0.0
    epochs: PositiveInt = 400


class InferenceConfig(Settings):
    """How a whole brain is predicted."""

    threshold: Annotated[
        Annotated[Fraction, Field(gt=0.0)] | None,
        Field(
            description="Probability from which a voxel is tumour; null is what serves the run's "
            "validation patients best"
        ),
    ] = None
    smallest_ml: Annotated[
        NonNegative | None,
        Field(
            description="Parts of the mask below this volume are removed, unless they are all "
            "there is; null is what serves the validation patients best"
        ),
    ] = None
    target_risk: Annotated[
        Fraction,
        Field(
            description="Share of wrong answers that is accepted among the markers that are named; "
            "from the validation patients, less sure ones are withheld"
        ),
    ] = 0.2
    mirror: Annotated[bool, Field(description="Average over left-right mirror images")] = False
    window: Annotated[
        Triple | None,
        Field(
            description="Voxels of a sliding window, overlap 0.5, Gaussian weights, the marker "
            "averaged over the windows; null is the whole brain box in one pass where it fits "
            "into memory_gib"
        ),
    ] = None
    memory_gib: Annotated[
        PositiveFloat | None,
        Field(
            description="What one pass may take, judged by a measurement on a small box; null is "
            "most of what is free. Beyond it, windows as large as fit are used"
        ),
    ] = None


class Config(Settings):
    """All settings of a run; saved in its folder, resolved."""

    preset: str = "paper"
    arm: Arm = "multitask"
    seed: Annotated[int, Field(ge=0)] = 0
    grid: GridConfig = GridConfig()
    preprocess: PreprocessConfig = PreprocessConfig()
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    patches: PatchConfig = PatchConfig()
    optimiser: OptimiserConfig = OptimiserConfig()
    inference: InferenceConfig = InferenceConfig()
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    validate_every: Annotated[PositiveInt, Field(description="Epochs between validations")] = 5

    @model_validator(mode="after")
    def _patch_fits(self) -> Self:
        divisor = self.model.divisor
        if any(side % divisor for side in self.patches.size):
            raise ValueError(f"patches.size must be multiples of {divisor}")
        if any(side % divisor for side in self.inference.window or ()):
            raise ValueError(f"inference.window must be multiples of {divisor}")
        return self
