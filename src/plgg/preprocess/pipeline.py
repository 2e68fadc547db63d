"""The pipeline of one native scan: bias field, brain, registration, gates, resampling.

    brain → registration → gates → co-registration of other sequences → one resampling → z-score
    → crop

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
from plgg.preprocess.bias import without_bias
from plgg.preprocess.brain_extraction import BrainExtraction
from plgg.preprocess.coregistration import Coregistration, coregister
from plgg.preprocess.grid import slices_grid, sri24_grid
from plgg.preprocess.normalise import MovedSequence, NormalisedScan, prepare
from plgg.preprocess.registration.start import AtlasPosition
from plgg.preprocess.resample import resample
from plgg.preprocess.setup import Route, route_for

__all__ = [
    "EarlySlices",
    "PreprocessedScan",
    "RejectedScanError",
    "Route",
    "Target",
    "early_slices",
    "preprocess_scan",
    "refuse_giant",
    "resampled",
    "route_for",
]

# No scanner's field of view is longer.
_LONGEST_MM = 1000.0


@dataclass(frozen=True, eq=False)
class PreprocessedScan:
    """A scan on the atlas grid, and how it got there.

    Attributes:
        prepared: All its channels.
        placed: The reference's brain and its way to the atlas.
        quality: What was measured.
        reference_from: 4×4 matrices from the worlds of the other sequences to the reference's.
    """

    prepared: NormalisedScan
    placed: AtlasPosition
    quality: Quality
    reference_from: dict[str, Affine] = field(default_factory=dict)


class RejectedScanError(InputError):
    """A scan that a gate did not let through.

    Attributes:
        quality: All that was measured.
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
    """Bring one scan, and its mask and other sequences where there are any, to the atlas grid.

    Args:
        flair: Native scan, the reference, skull on or off, however it lies.
        mask: Tumour mask on the same native grid, or None; the numbers of its regions where the
            route has labels.
        route: The way.
        age_years: At the scan, where known: brains grow.
        others: Further sequences of the same head by name. One that cannot be registered to the
            reference is left out, and a verdict says so.
        stripped: The reference's brain, where it was found already.
        clock: Told of each step, and so far of those that were done already.

    Raises:
        RejectedScanError: If no registration can be trusted or the scan is not what it should be.
        InputError: If there is no brain in it, or it does not lie on the grid.
    """
    refuse_giant(flair)
    clock = clock or Clock()
    found = assess_scan(flair, route, age_years, clock, stripped=stripped)
    target, atlas = Target.of(route), route.atlas.name
    return resampled(flair, mask, found, target, atlas=atlas, others=others, clock=clock)


@dataclass(frozen=True)
class Target:
    """Grid and settings to resample a scan with, once it was assessed.

    Attributes:
        grid: Where they go, and how fine it is.
        n4: Whether without their bias field.
        labels: Regions of the masks.
    """

    grid: GridConfig
    n4: bool
    labels: tuple[Label, ...] = ()

    @classmethod
    def of(cls, route: Route) -> Target:
        """That of a route."""
        return cls(route.grid, route.settings.n4, route.labels)


def resampled(
    flair: Volume,
    mask: Volume | None,
    found: ScanAssessment,
    target: Target,
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
        found: Its brain, its place and what the gates said.
        target: What it is resampled to.
        atlas: Name of what it was registered to.
        others: As there.
        clock: Told of each step.
        early: What `early_slices` made of a scan without mask and others; where the brain turns
            out to be another one, or to lie otherwise than the header says, it counts for nothing.

    Raises:
        RejectedScanError: If a gate refuses it, or no registration gave any map.
        InputError: If it does not lie on the grid.
    """
    if found.placed is None or worst(found.verdicts) == "failed":
        raise _rejected(found, _quality(atlas, found, clock))
    placed, brain = found.placed, found.stripped.brain
    with clock.step("co-registration"):
        moved, verdicts = _coregistered(flair, brain, others or {})
    with clock.step("resampling"):
        if early and early.holds(placed):
            prepared = early.prepared.lying(placed)
        else:
            prepared = _prepared(flair, mask, placed, moved, target)
    found = replace(found, verdicts=(*found.verdicts, *verdicts))
    ways = {name: one.reference_from_other for name, one in moved.items()}
    return PreprocessedScan(prepared, placed, _quality(atlas, found, clock), ways)


@dataclass(frozen=True, eq=False)
class EarlySlices:
    """Slices of a brain as acquired, made before it is known where they lie on the atlas."""

    brain: NDArray[np.bool_]
    prepared: NormalisedScan

    def holds(self, placed: AtlasPosition) -> bool:
        """Whether the slices are valid for this position: same brain, orientation unchanged."""
        upright = np.array_equal(placed.turn, np.eye(4))
        return upright and np.array_equal(placed.brain, self.brain)


def early_slices(flair: Volume, brain: NDArray[np.bool_], target: Target) -> EarlySlices:
    """Slices as acquired, of a head that lies as its header says.

    Args:
        flair: Native scan.
        brain: On its grid.
        target: Of the kind `slices`.
    """
    somewhere = AtlasPosition(brain, np.eye(4), "nowhere yet")
    return EarlySlices(brain, _prepared(flair, None, somewhere, {}, target))


def _prepared(
    flair: Volume,
    mask: Volume | None,
    placed: AtlasPosition,
    moved: dict[str, MovedSequence],
    target: Target,
) -> NormalisedScan:
    brain = placed.brain
    if target.n4:
        moved = {name: _even(one, flair, brain) for name, one in moved.items()}
    even = without_bias(flair, brain) if target.n4 else flair
    if target.grid.kind == "atlas":
        grid = sri24_grid(target.grid.spacing_mm)
    else:
        upright = slices_grid(Volume(brain, placed.turn @ flair.affine), target.grid.spacing_mm)
        grid = replace(upright, affine=inverse(placed.turn) @ upright.affine)
    return prepare(even, mask, grid, placed, moved, target.labels)


def _coregistered(
    flair: Volume, brain: NDArray[np.bool_], others: Mapping[str, Volume]
) -> tuple[dict[str, MovedSequence], list[Verdict]]:
    """The sequences that can be registered to the reference, and what is to be said of all."""
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


def _even(one: MovedSequence, flair: Volume, brain: NDArray[np.bool_]) -> MovedSequence:
    """Another sequence without its bias field."""
    there = inverse(flair.affine) @ one.reference_from_other @ one.scan.affine
    inside = resample(brain, there, one.scan.shape) >= 0.5
    return replace(one, scan=without_bias(one.scan, inside)) if inside.any() else one


def refuse_giant(flair: Volume) -> None:
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
