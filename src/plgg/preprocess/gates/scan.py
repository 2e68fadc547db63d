"""Gates on a scan: brain volume for the age, field of view, sequence contrast.

Volume and field of view are measured before registration, in the scan's own millimetres, contrast
on the atlas. A volume fails only where no brain has it: many cohorts were stored without their true
voxel size, and registration corrects that.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from plgg.core.registry import Registry
from plgg.core.volume import Affine, Volume, apply_affine, spacing_mm
from plgg.data.quality import Verdict
from plgg.preprocess.gates.limits import Limits, at_least, at_most
from plgg.preprocess.registration.frame import AlignedScan

# Mean volume of brain and ventricles by age, from birth over the growth of the first years to the
# shrinking of old age, and how far healthy brains and those with a tumour lie from it.
_AGE_YEARS = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 90.0)
_MEAN_ML = (400.0, 700.0, 900.0, 1050.0, 1250.0, 1350.0, 1400.0, 1350.0, 1200.0)
_SPREAD = (0.65, 1.40)
_POSSIBLE_ML = (200.0, 10000.0)
_ANY_AGE = Limits((600.0, 1950.0), _POSSIBLE_ML, " mL")


def brain_volume(brain_ml: float, age_years: float | None) -> Verdict:
    """Check the volume against the range of the age, or of all ages above one if unknown."""
    limits = _ANY_AGE if age_years is None else _range(age_years)
    when = "" if age_years is None else f" at {age_years:g} years"
    return Verdict(
        gate="brain-volume",
        status=limits.status(brain_ml),
        value=round(brain_ml, 1),
        limits=limits.words(),
        message=f"a brain of {brain_ml:.0f} mL is implausible{when}",
        remedy="Check the voxel size in the header, and the brain's outline in the picture.",
    )


def _range(age_years: float) -> Limits:
    mean = float(np.interp(age_years, _AGE_YEARS, _MEAN_ML))
    low, high = (round(mean * factor, -1) for factor in _SPREAD)
    return Limits((low, high), _POSSIBLE_ML, " mL")


CUT = at_most(0.55, 0.72)
_N_DIRECTIONS = 2000
_N_POINTS = 6000
_SLAB_MM = 10.0
# Share of stray voxels at an end that is ignored, so that they cannot hide a cut surface.
_STRAY = 0.002
_SIDES = (("left", "right"), ("back", "front"), ("lower", "upper"))


def field_of_view(brain: NDArray[np.bool_], affine: Affine) -> Verdict:
    """Check that the brain is not cut off: its outermost slab over its fullest, in any direction.

    A whole brain ends in a small slab, a brain that is cut in half in its fullest one. Slabs are
    10 mm thick, or a slice and a half where that is more.

    Args:
        brain: On the native grid, not empty.
        affine: Voxel → world in mm.
    """
    slab_mm = max(_SLAB_MM, 1.5 * float(spacing_mm(affine).max()))
    points = _sampled(brain, affine)
    shares = [_end_share(points @ direction, slab_mm) for direction in _directions()]
    worst = int(np.argmax(shares))
    return Verdict(
        gate="field-of-view",
        status=CUT.status(shares[worst]),
        value=round(shares[worst], 4),
        limits=CUT.words(),
        message=f"the brain is cut off at its {_side(_directions()[worst])} end: the last "
        f"{slab_mm:.0f} mm there hold {shares[worst]:.0%} of what the fullest {slab_mm:.0f} mm do",
        remedy="Use a scan that covers the whole brain.",
    )


def _sampled(brain: NDArray[np.bool_], affine: Affine) -> NDArray[np.float64]:
    """Random points in the brain in mm, jittered within their voxels; shape (N, 3)."""
    random = np.random.default_rng(0)
    voxels = np.flatnonzero(brain)
    chosen = random.choice(voxels, min(_N_POINTS, voxels.size), replace=False)
    places = np.stack(np.unravel_index(chosen, brain.shape), axis=1)
    return apply_affine(affine, places + random.uniform(-0.5, 0.5, places.shape))


def _directions() -> NDArray[np.float64]:
    """Unit vectors spread evenly over the sphere (Fibonacci's spiral), shape (N, 3)."""
    index = np.arange(_N_DIRECTIONS) + 0.5
    z = 1.0 - 2.0 * index / _N_DIRECTIONS
    angle = np.pi * (1.0 + np.sqrt(5.0)) * index
    radius = np.sqrt(1.0 - z**2)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), z], axis=1)


def _end_share(depth: NDArray[np.float64], slab_mm: float) -> float:
    """Points in the last slab along a direction over those in the fullest slab."""
    last = depth.size - 1 - int(_STRAY * depth.size)
    below = np.partition(depth, last)[last] - depth
    slabs = np.bincount((np.maximum(below, 0.0) / slab_mm).astype(np.int64))
    return float(slabs[0] / slabs.max())


def _side(direction: NDArray[np.float64]) -> str:
    """The side of the patient that a direction points to; the world is RAS+."""
    axis = int(np.argmax(np.abs(direction)))
    return _SIDES[axis][int(direction[axis] > 0)]


# Limits on FLAIR: brightness of fluid relative to white matter, and correlation with a T1.
FLUID = at_most(0.35, 0.70)
T1_LIKE = at_most(0.45, 0.60)
# The reverse limits, on T2 and on T1 (docs/channels.md).
_BRIGHT_FLUID = at_least(0.35, 0.0)
_T1 = at_least(0.30, 0.0)
# Before this age myelin is missing, and grey and white matter are exchanged on every sequence.
_MYELINATED_YEARS = 2.0
_PURE = 0.8
_FEWEST = 200


def contrast(aligned: AlignedScan, age_years: float | None, sequence: str) -> tuple[Verdict, ...]:
    """Check that the contrast is that of the sequence: FLAIR, T1, T1c and T2; others have no gate.

    Args:
        aligned: The scan on the atlas.
        age_years: At the scan, where known.
        sequence: Name of it, as in `plgg.config.SEQUENCES`.
    """
    if sequence == "flair":
        return fluid(aligned), t1_like(aligned, age_years)
    if sequence == "t2":
        return (_bright_fluid(aligned), t1_like(aligned, age_years, "a T2"))
    if sequence in ("t1", "t1c"):
        return (_is_t1(aligned, age_years),)
    return ()


def _bright_fluid(aligned: AlignedScan) -> Verdict:
    found = _fluid(aligned)
    return Verdict(
        gate="fluid",
        status="doubtful" if found is None else _BRIGHT_FLUID.status(found),
        value=None if found is None else round(found, 3),
        limits=_BRIGHT_FLUID.words(),
        message="fluid is not brighter than white matter, as on a FLAIR or a T1, not on a T2",
        remedy="Check that the scan is a T2.",
    )


def _is_t1(aligned: AlignedScan, age_years: float | None) -> Verdict:
    message = "white matter is not brighter than grey, as it is on a T1"
    return _t1_verdict(aligned, age_years, _T1, message, "a T1")


def fluid(aligned: AlignedScan) -> Verdict:
    """Median of fluid minus median of white matter, in standard deviations of the brain."""
    found = _fluid(aligned)
    return Verdict(
        gate="fluid",
        status="doubtful" if found is None else FLUID.status(found),
        value=None if found is None else round(found, 3),
        limits=FLUID.words(),
        message="whether fluid is dark, as on a FLAIR, could not be told"
        if found is None
        else "fluid is brighter than white matter, as on a T2, not on a FLAIR",
        remedy="Check that the scan is a FLAIR.",
    )


def t1_like(aligned: AlignedScan, age_years: float | None, wanted: str = "a FLAIR") -> Verdict:
    """Correlation with the atlas, which is a T1, over grey and white matter away from fluid."""
    message = f"white matter is brighter than grey, as on a T1, not on {wanted}"
    return _t1_verdict(aligned, age_years, T1_LIKE, message, wanted)


def _t1_verdict(
    aligned: AlignedScan, age_years: float | None, limits: Limits, message: str, wanted: str
) -> Verdict:
    found = _t1_like(aligned)
    status = limits.status(found)
    if status == "failed" and age_years is not None and age_years < _MYELINATED_YEARS:
        status = "doubtful"
    return Verdict(
        gate="t1-like",
        status=status,
        value=round(found, 3),
        limits=limits.words(),
        message=message,
        remedy=f"Check that the scan is {wanted}.",
    )


def _fluid(aligned: AlignedScan) -> float | None:
    if aligned.atlas.csf is None or aligned.atlas.white is None:
        return None
    csf = aligned.scan[aligned.brain & (aligned.atlas.csf > _PURE)]
    white = aligned.scan[aligned.brain & (aligned.atlas.white > _PURE)]
    if min(csf.size, white.size) < _FEWEST:
        return None
    return float(np.median(csf) - np.median(white)) / _spread(aligned)


def _t1_like(aligned: AlignedScan) -> float:
    tissue = aligned.brain & aligned.atlas.frame.brain
    if aligned.atlas.csf is not None:
        tissue &= aligned.atlas.csf < 1.0 - _PURE
    scan, atlas = aligned.scan[tissue], aligned.atlas.frame.image.data[tissue]
    if scan.size < _FEWEST or scan.std() == 0 or atlas.std() == 0:
        return 0.0
    return float(np.corrcoef(_clipped(scan), _clipped(atlas))[0, 1])


def _clipped(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Clip the tails, so that a bright tumour does not decide which sequence it is."""
    low, high = np.percentile(values, (2.0, 98.0))
    return np.clip(values, low, high)


def _spread(aligned: AlignedScan) -> float:
    return max(float(_clipped(aligned.scan[aligned.brain]).std()), 1e-6)


Gate = Callable[[Volume, NDArray[np.bool_], float | None], Verdict]
"""Function from the native scan, its brain mask and the age (None if unknown) to a verdict."""


def _brain_volume(scan: Volume, brain: NDArray[np.bool_], age_years: float | None) -> Verdict:
    return brain_volume(float(brain.sum()) * scan.voxel_volume_ml, age_years)


def _field_of_view(scan: Volume, brain: NDArray[np.bool_], _: float | None) -> Verdict:
    return field_of_view(brain, scan.affine)


GATES: Registry[Gate] = Registry(
    "gate", "plgg.gates", {"brain-volume": _brain_volume, "field-of-view": _field_of_view}
)
"""Gates before registration, run in this order until one fails; those of plugins come last."""


def register_gate(name: str, gate: Gate) -> None:
    """Add a gate that is run on each scan, in preprocessing and in prediction, after the others.

    Raises:
        ConfigError: If the name is taken by another.
    """
    GATES.add(name, gate)


def ask_gates(scan: Volume, brain: NDArray[np.bool_], age_years: float | None) -> list[Verdict]:
    """Run the gates on a scan before registration; stop at the first that fails.

    Raises:
        ConfigError: If the package of a gate cannot be loaded, or a plugin's gate raises.
    """
    verdicts: list[Verdict] = []
    for name, gate in GATES.load_all().items():  # Faces cannot be told on what has no size.
        with GATES.calling(name):
            verdicts.append(gate(scan, brain, age_years).model_copy(update={"gate": name}))
        if verdicts[-1].status == "failed":
            break
    return verdicts
