"""Settings of the network: the shared backbone and the marker branch on its bottleneck."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from plgg.config.base import Few, Fraction, NonNegative, Positive, Settings, Text, Width

Hidden = Annotated[int, Field(ge=1, le=16_384)]


class MarkerHeadConfig(Settings):
    """The classification branch: fully connected layers on the pooled bottleneck."""

    inputs: Annotated[
        tuple[Literal["average", "attention", "outlined", "tumour", "clinical"], ...],
        Field(
            min_length=1,
            description="What the marker is read from: the bottleneck's average (published), its "
            "average by learnt attention, or under the outlined tumour; traits of that: place, "
            "size, brightness; age and sex. Logits are summed",
        ),
    ] = ("average",)
    hidden: Annotated[tuple[Hidden, ...], Field(max_length=8)] = (256, 128)
    dropout: Fraction = 0.2
    normalise: Annotated[
        bool,
        Field(
            description="Standardise the pooled features by running moments. Without it what all "
            "patients share drowns what tells them apart, and the branch dies in one answer"
        ),
    ] = True
    teaches_outline: Annotated[
        bool,
        Field(
            description="Whether the marker's loss also moves the outline that the branch looks at "
            "(inputs outlined, tumour), not the encoder alone"
        ),
    ] = False
    teaches_encoder: Annotated[
        bool,
        Field(
            description="Whether the loss of these tasks also moves the encoder (published); where "
            "not, the outline is learnt as by the arm single"
        ),
    ] = True
    gradient_cap: Annotated[
        NonNegative | None,
        Field(
            description="Most that each of these tasks may pull at the encoder, as a share of the "
            "outline's pull: norms of the weighted gradients of a batch; 0 is as "
            "teaches_encoder=false, without it there is no limit"
        ),
    ] = None
    guides_outline: Annotated[
        bool,
        Field(
            description="Whether the outline is told the marker: its last layer is mixed from one "
            "for each class, in training by the true one, later by the branch's probabilities"
        ),
    ] = False

    @model_validator(mode="after")
    def _inputs_once(self) -> Self:
        if len(set(self.inputs)) < len(self.inputs):
            raise ValueError("inputs names one twice")
        if self.teaches_outline and not self.teaches_encoder:
            raise ValueError("teaches_outline needs teaches_encoder: the outline comes from there")
        if self.gradient_cap is not None and not self.teaches_encoder:
            raise ValueError(
                "gradient_cap needs teaches_encoder=true: else there is nothing to cap"
            )
        return self


_HALVINGS = {"swin_unetr": 5, "efficientnet_lite0": 4}
# 2-D backbones, which process each slice independently.
_SLICED = frozenset({"efficientnet_lite0"})


class ModelConfig(Settings):
    """The U-Net after Myronenko, or another backbone, and the branch on its bottleneck."""

    backbone: Annotated[
        Text,
        Field(
            description="segresnet is the paper's; swin_unetr; efficientnet_lite0, which sees "
            "slices; or one that a package registers. Settings of blocks and groups are segresnet's"
        ),
    ] = "segresnet"

    neighbours: Annotated[
        int,
        Field(
            ge=0,
            le=8,
            description="Slices before and behind each voxel's own that are shown as further "
            "channels, for backbones that see each slice by itself",
        ),
    ] = 0
    neighbour_mm: Annotated[
        Positive, Field(description="Distance of those slices, rounded to whole ones")
    ] = 5.5
    marker_planes: Annotated[
        bool,
        Field(
            description="Whether the network is told the true marker, as constant planes beside "
            "the image (one for each class, all 0 where unknown): the most that knowing it can "
            "give. For experiments alone (arm oracle)"
        ),
    ] = False
    stem: Annotated[
        Literal[1, 2],
        Field(
            description="Voxels along each side of the blocks that the first layer takes as "
            "channels, and the last gives back; 2 leaves out the full resolution, where most of "
            "the time goes"
        ),
    ] = 1
    init_filters: Width = 32
    blocks_down: Annotated[tuple[Few, ...], Field(max_length=8)] = (1, 2, 2, 4)
    blocks_up: Annotated[tuple[Few, ...], Field(max_length=7)] = (1, 1, 1)
    norm_groups: Width = 8
    dropout: Annotated[Fraction, Field(description="On the first feature map")] = 0.0
    deep_supervision: Annotated[
        int,
        Field(
            ge=0,
            le=7,
            description="Coarser levels of the decoder that must outline the tumour, too",
        ),
    ] = 0
    marker: MarkerHeadConfig = MarkerHeadConfig()

    @property
    def sliced(self) -> bool:
        """Whether the backbone is 2-D and processes each slice independently."""
        return self.backbone in _SLICED

    @property
    def divisor(self) -> int:
        """Downsampling factor from the image to the bottleneck, in the plane of slices."""
        # Backbones from elsewhere have a level for each entry of blocks_down.
        halvings = _HALVINGS.get(self.backbone, len(self.blocks_down) - 1)
        return int(self.stem * 2**halvings)

    @property
    def divisors(self) -> tuple[int, int, int]:
        """Numbers that the sides of an input must be multiples of."""
        return (self.divisor, self.divisor, 1 if self.sliced else self.divisor)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(self.blocks_up) != len(self.blocks_down) - 1:
            raise ValueError("blocks_up needs one entry fewer than blocks_down")
        if self.deep_supervision > max(0, len(self.blocks_up) - 1):
            raise ValueError("deep_supervision must be below the number of entries of blocks_up")
        if self.init_filters % self.norm_groups:
            raise ValueError("init_filters must be a multiple of norm_groups")
        return self
