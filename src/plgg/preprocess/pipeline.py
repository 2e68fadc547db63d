"""The pipeline of one native scan: bias field, brain, registration, gates, resampling.

    brain → gates → registration → gates → co-registration of other sequences → bias field (N4)
    → one resampling → z-score → crop

`Route` holds the settings, which are the same for a cohort and for a new patient. Files are read
and written elsewhere. Slices as acquired do not depend on the registration, so `early_slices` can
make them before it ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from plgg.config import GridConfig, Label
from plgg.config.base import TITLES
from plgg.core.errors import InputError
from plgg.core.progress import Clock
from plgg.core.volume import Affine, Volume, inverse
from plgg.data.quality import Quality, Verdict, worst
from plgg.preprocess.assessment import ScanAssessment, assess_scan
from plgg.preprocess.bias import correct_bias_field
from plgg.preprocess.brain_extraction import BrainExtraction
from plgg.preprocess.coregistration import Coregistration, coregister
from plgg.preprocess.grid import slices_grid, sri24_grid
from plgg.preprocess.normalise import MovedSequence, NormalisedScan, normalise_scan
from plgg.preprocess.registration.start import AtlasPosition
from plgg.preprocess.resample import resample
from plgg.preprocess.setup import Route, route_for

__all__ = [
    "EarlySlices",
    "PreprocessedScan",
    "RejectedScanError",
    "ResamplingTarget",
    "Route",
    "early_slices",
    "preprocess_scan",
    "require_plausible_extent",
    "resample_scan",
    "route_for",
]

# No scanner's field of view is longer.
_LONGEST_MM = 1000.0


@dataclass(frozen=True, eq=False)
class PreprocessedScan:
    """A preprocessed scan, with its position on the atlas and its quality.

    Attributes:
        prepared: All its channels.
        placed: The reference's brain and its transform to the atlas.
        quality: Verdicts, registration attempts and times.
        reference_from: 4×4 matrices from the worlds of the other sequences to the reference's.
    """

    prepared: NormalisedScan
    placed: AtlasPosition
    quality: Quality
    reference_from: dict[str, Affine] = field(default_factory=dict)


class RejectedScanError(InputError):
    """A scan that failed a gate, or that could not be registered.

    Attributes:
        quality: Verdicts, registration attempts and times.
        placed: Its brain and the least bad registration, where there is one.
    """

    def __init__(
        self, reason: str, remedy: str, quality: Quality, placed: AtlasPosition | None
    ) -> None:
        super().__init__(reason, remedy=remedy)
        self.quality = quality
        self.placed = placed


def preprocess_scan(
    flair: Volume,
    mask: Volume | None,
    route: Route,
    *,
    age_years: float | None = None,
    others: Mapping[str, Volume] | None = None,
    stripped: BrainExtraction | None = None,
    clock: Clock | None = None,
) -> PreprocessedScan:
    """Preprocess one scan, and its mask and other sequences where there are any.

    Args:
        flair: Native scan, the reference, with or without skull, in any orientation.
        mask: Tumour mask on the same native grid, or None; the numbers of its regions where the
            route has labels.
        route: Grid, settings and atlas.
        age_years: Age at the scan, where known; limits of some gates depend on it.
        others: Further sequences of the same head by name. One that cannot be registered to the
            reference is left out, and a verdict says so.
        stripped: The reference's brain, where it was found already.
        clock: Measures the time of each step; may hold those of steps that were done before.

    Raises:
        RejectedScanError: If a gate fails, or no registration gave a transform.
        InputError: If there is no brain in it, or it does not lie on the grid.
    """
    require_plausible_extent(flair)
    clock = clock or Clock()
    found = assess_scan(flair, route, age_years, clock, stripped=stripped)
    target, atlas = ResamplingTarget.of(route), route.atlas.name
    return resample_scan(flair, mask, found, target, atlas=atlas, others=others, clock=clock)


@dataclass(frozen=True)
class ResamplingTarget:
    """Grid and settings to resample a scan with, once it was assessed.

    Attributes:
        grid: Kind of grid and its spacing.
        n4: Whether to correct the bias field with N4.
        labels: Regions of the masks.
    """

    grid: GridConfig
    n4: bool
    labels: tuple[Label, ...] = ()

    @classmethod
    def of(cls, route: Route) -> ResamplingTarget:
        """The target of a route."""
        return cls(route.grid, route.settings.n4, route.labels)


def resample_scan(
    flair: Volume,
    mask: Volume | None,
    found: ScanAssessment,
    target: ResamplingTarget,
    *,
    atlas: str,
    others: Mapping[str, Volume] | None = None,
    clock: Clock,
    early: EarlySlices | None = None,
) -> PreprocessedScan:
    """Resample an assessed scan to its grid: the second half of `preprocess_scan`.

    Args:
        flair: As there.
        mask: As there.
        found: The assessment: its brain, its position and the verdicts.
        target: What it is resampled to.
        atlas: Name of the atlas that it was registered to.
        others: As there.
        clock: Measures the time of each step.
        early: Output of `early_slices` for a scan without mask and others; not used where the
            assessment found another brain, or another orientation than the header's.

    Raises:
        RejectedScanError: If a gate fails, or no registration gave a transform.
        InputError: If it does not lie on the grid.
    """
    if found.placed is None or worst(found.verdicts) == "failed":
        raise _rejected(found, _quality(atlas, found, clock))
    placed, brain = found.placed, found.stripped.brain
    with clock.step("co-registration"):
        moved, verdicts = _coregistered(flair, brain, others or {})
    with clock.step("resampling"):
        if early and early.is_valid_for(placed):
            prepared = early.prepared.with_position(placed)
        else:
            prepared = _prepared(flair, mask, placed, moved, target)
    found = replace(found, verdicts=(*found.verdicts, *verdicts))
    ways = {name: one.reference_from_other for name, one in moved.items()}
    return PreprocessedScan(prepared, placed, _quality(atlas, found, clock), ways)


@dataclass(frozen=True, eq=False)
class EarlySlices:
    """Slices as acquired, made before the registration has ended."""

    brain: NDArray[np.bool_]
    prepared: NormalisedScan

    def is_valid_for(self, placed: AtlasPosition) -> bool:
        """Whether the slices are valid for this position: same brain, orientation unchanged."""
        upright = np.array_equal(placed.turn, np.eye(4))
        return upright and np.array_equal(placed.brain, self.brain)


def early_slices(flair: Volume, brain: NDArray[np.bool_], target: ResamplingTarget) -> EarlySlices:
    """Make slices as acquired, on the assumption that the header's orientation is right.

    Args:
        flair: Native scan.
        brain: Its brain mask, on the same grid.
        target: With a grid of the kind `slices`.
    """
    somewhere = AtlasPosition(brain, np.eye(4), "nowhere yet")
    return EarlySlices(brain, _prepared(flair, None, somewhere, {}, target))


def _prepared(
    flair: Volume,
    mask: Volume | None,
    placed: AtlasPosition,
    moved: dict[str, MovedSequence],
    target: ResamplingTarget,
) -> NormalisedScan:
    brain = placed.brain
    if target.n4:
        moved = {name: _correct_bias_of_sequence(one, flair, brain) for name, one in moved.items()}
    even = correct_bias_field(flair, brain) if target.n4 else flair
    if target.grid.kind == "atlas":
        grid = sri24_grid(target.grid.spacing_mm)
    else:
        upright = slices_grid(Volume(brain, placed.turn @ flair.affine), target.grid.spacing_mm)
        grid = replace(upright, affine=inverse(placed.turn) @ upright.affine)
    return normalise_scan(even, mask, grid, placed, moved, target.labels)


def _coregistered(
    flair: Volume, brain: NDArray[np.bool_], others: Mapping[str, Volume]
) -> tuple[dict[str, MovedSequence], list[Verdict]]:
    """Register the other sequences; return those that can be used, and the verdicts of all."""
    moved, verdicts = {}, []
    for name, scan in others.items():
        one = coregister(flair, brain, scan, title=TITLES[name])
        verdicts.append(_unused_verdict(one))
        if one.verdict.status != "failed":
            moved[name] = MovedSequence(scan, one.reference_from_other)
    return moved, verdicts


def _unused_verdict(one: Coregistration) -> Verdict:
    """The verdict, with failed as doubtful: the sequence is left out and the case is kept."""
    verdict = one.verdict
    if verdict.status != "failed":
        return verdict
    message = f"{verdict.message}: it is left out"
    return verdict.model_copy(update={"status": "doubtful", "message": message})


def _correct_bias_of_sequence(
    one: MovedSequence, flair: Volume, brain: NDArray[np.bool_]
) -> MovedSequence:
    """Correct the bias field of another sequence."""
    there = inverse(flair.affine) @ one.reference_from_other @ one.scan.affine
    inside = resample(brain, there, one.scan.shape) >= 0.5
    return replace(one, scan=correct_bias_field(one.scan, inside)) if inside.any() else one


def require_plausible_extent(flair: Volume) -> None:
    """Check a scan's extent before it is resampled; a header in a wrong unit would fill memory.

    Raises:
        InputError: If the scan is longer than any scanner's field of view.
    """
    longest_mm = float((flair.spacing_mm * flair.shape).max())
    if longest_mm > _LONGEST_MM:
        raise InputError(
            f"its header makes the scan {longest_mm:.0f} mm long",
            remedy="Mend the voxel size in the header: it must be in mm.",
        )


def _quality(atlas: str, found: ScanAssessment, clock: Clock) -> Quality:
    return Quality(
        status="failed" if found.placed is None else worst(found.verdicts),
        verdicts=found.verdicts,
        attempts=found.attempts,
        stripping=found.stripped.engine,
        atlas=atlas,
        seconds=dict(clock.seconds),
    )


def _rejected(found: ScanAssessment, quality: Quality) -> RejectedScanError:
    bad = [verdict for verdict in found.verdicts if verdict.status == "failed"]
    if not bad:
        reason = f"no registration gave any map ({len(found.attempts)} tried)"
        return RejectedScanError(reason, "Look at the scan: is it a head?", quality, None)
    reason = "; ".join(verdict.message for verdict in bad)
    return RejectedScanError(reason, bad[0].remedy, quality, found.placed)
