"""Settings of the grid, of preprocessing and of inference."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from plgg.config.base import (
    Fraction,
    NonNegative,
    Positive,
    Settings,
    Text,
    Threshold,
    Triple,
)

Zoom = Annotated[float, Field(ge=0.5, le=2.0)]


class GridConfig(Settings):
    """The grid of the store: SRI24's field of view, 240×240×155 mm, or a scan's own slices."""

    kind: Annotated[
        Literal["atlas", "slices"],
        Field(
            description="atlas is SRI24 (published); slices are those of the scan as acquired, the "
            "brain scaled into 112×144 pixels: nothing is resampled through thick slices"
        ),
    ] = "atlas"
    spacing_mm: Annotated[
        float,
        Field(
            ge=0.5,
            le=8.0,
            description="Isotropic voxel size; of slices about what thin ones are joined to",
        ),
    ] = 1.0


class PreprocessConfig(Settings):
    """Preprocessing of a scan; a model requires the same settings as in its training."""

    atlas: Annotated[
        str,
        Field(
            min_length=1,
            max_length=4096,
            description="built-in; sri24 (downloaded once); or the path of an atlas: a folder "
            "with SRI24, or one stripped template in its space",
        ),
    ] = "built-in"
    atlas_sha256: Annotated[
        Text | None,
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


class InferenceConfig(Settings):
    """How a whole brain is predicted."""

    threshold: Annotated[
        Threshold | None,
        Field(
            description="Probability from which a voxel is tumour, or expected-dice: where the "
            "expected Dice of that scan's mask is highest; null is what serves the run's "
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
    marker_from: Annotated[
        Literal["network", "radiomics", "combined", "best"],
        Field(
            description="Who names the marker: the network (published), a random forest on "
            "radiomics, place, age and sex, or the mean of both and of clinical data alone; best "
            "is what had the least log loss on 30 validation scans or more"
        ),
    ] = "network"
    mirror: Annotated[bool, Field(description="Average over left-right mirror images")] = False
    zooms: Annotated[
        tuple[Zoom, ...],
        Field(
            min_length=1,
            max_length=8,
            description="Sizes at which the image is shown, as factors, outlines averaged; in the "
            "plane of the slices where the network sees slices, and then after the first size "
            "those alone that show a sign of tumour. All else is read at the first. Each takes the "
            "square of its factor as long, or its cube",
        ),
    ] = (1.0,)
    window: Annotated[
        Triple | None,
        Field(
            description="Voxels of a sliding window, overlap 0.5, Gaussian weights, the marker "
            "averaged over the windows; null is the whole brain box in one pass where it fits "
            "into memory_gib"
        ),
    ] = None
    memory_gib: Annotated[
        Positive | None,
        Field(
            description="What one pass may take, judged by a measurement on a small box; null is "
            "most of what is free. Beyond it, windows as large as fit are used"
        ),
    ] = None
