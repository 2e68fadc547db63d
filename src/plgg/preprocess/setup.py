"""What all scans of a cohort share: kind of grid, settings and atlas (`Route`)."""

from __future__ import annotations

from dataclasses import dataclass

from plgg.config import Config, GridConfig, Label, PreprocessConfig
from plgg.core.errors import InputError
from plgg.data.atlas.atlas import Atlas, load_atlas
from plgg.preprocess.gates.scan import GATES


@dataclass(frozen=True, eq=False)
class Route:
    """Settings of preprocessing that the scans of a cohort share.

    Attributes:
        grid: Kind of grid and its spacing.
        settings: Stripping, registration, intensities.
        atlas: What they are registered to.
        scan_gib: Largest size of an unpacked scan in GiB; does not affect the result.
        channels: Sequences to use; the first one that a case has is the reference.
        labels: Regions of the masks; none where any value above 0 is tumour.
        sequence: Sequence of the current reference, whose contrast gates check.
    """

    grid: GridConfig
    settings: PreprocessConfig
    atlas: Atlas
    scan_gib: float | None = None
    channels: tuple[str, ...] = ("flair",)
    labels: tuple[Label, ...] = ()
    sequence: str = "flair"


def route_for(config: Config) -> Route:
    """Make the route from the settings of a run or a store.

    Returns:
        The route; its settings hold the hash of its atlas.

    Raises:
        InputError: If the atlas cannot be had, or is not the one that the settings ask for.
        ConfigError: If the package of a gate cannot be loaded.
    """
    GATES.load_all()
    wanted = config.preprocess
    atlas = load_atlas(wanted.atlas)
    if wanted.atlas_sha256 not in (None, atlas.sha256):
        raise InputError(
            "is not the atlas that the other scans were registered to",
            where=atlas.source,
            remedy="Name that one with --atlas.",
        )
    settings = wanted.model_copy(update={"atlas_sha256": atlas.sha256})
    scan_gib = config.execution.scan_gib
    return Route(config.grid, settings, atlas, scan_gib, config.channels, config.labels)
