"""Make one patient: age, sex and site, and a scan with its mask.

All random numbers come from the patient's own streams.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from threadpoolctl import threadpool_limits

from plgg.config import SEQUENCES
from plgg.core.volume import Affine, Volume
from plgg.data.atlas.grid import BRAIN_CENTRE_MM
from plgg.phantom.grid import Raster
from plgg.phantom.head import draw_head, tissue
from plgg.phantom.plan import Plan, draw_plan
from plgg.phantom.scanner import Site, acquire, draw_site, n_thick_slices, thick_affine, thicken
from plgg.phantom.settings import Marker, PhantomSettings, Stream, patient_stream
from plgg.phantom.signal import (
    add_decoys,
    add_spots,
    add_tumour,
    draw_contrast,
    normal_signal,
    sequence_contrast,
    sequence_plan,
)
from plgg.phantom.tumour import make_tumour

# Mean and spread of the age in years. Children with a fusion are younger than those with V600E.
_AGES: dict[str, dict[Marker, tuple[float, float]]] = {
    "child": {"BRAF_fusion": (7.0, 3.5), "BRAF_V600E": (10.0, 4.0), "other": (9.0, 4.5)},
    "adult": {"BRAF_fusion": (32.0, 9.0), "BRAF_V600E": (36.0, 11.0), "other": (43.0, 12.0)},
}
_AGE_RANGE = {"child": (0.5, 18.0), "adult": (19.0, 80.0)}
_WIDENING = {"child": 1.0, "adult": 1.6}


@dataclass(frozen=True)
class Person:
    """What a manifest says of a patient at the first scan, and when a second one would follow.

    Attributes:
        age_years: Age at the first scan.
        sex: `F` or `M`.
        site: Hospital.
        follow_up_years: Time to the second scan.
        growth: Factor by which the tumour has grown by then.
    """

    age_years: float
    sex: str
    site: Site
    follow_up_years: float
    growth: float


def draw_person(settings: PhantomSettings, patient: int, marker: Marker) -> Person:
    """Draw a patient's age, sex, site and follow-up; only the age depends on the marker."""
    rng = patient_stream(settings.seed, patient, Stream.PERSON)
    mean, spread = _AGES[settings.population][marker]
    low, high = _AGE_RANGE[settings.population]
    return Person(
        age_years=round(float(np.clip(rng.normal(mean, spread), low, high)), 1),
        sex=str(rng.choice(["F", "M"])),
        site=draw_site(patient_stream(settings.seed, patient, Stream.SITE), settings.population),
        follow_up_years=round(float(rng.uniform(0.5, 2.0)), 1),
        growth=float(rng.uniform(1.25, 2.0)),
    )


def plan_of(settings: PhantomSettings, patient: int, marker: Marker, *, scan: int) -> Plan:
    """The tumour of a patient at the first (0) or the second (1) scan."""
    rng = patient_stream(settings.seed, patient, Stream.TUMOUR)
    plan = draw_plan(rng, marker, settings)
    return plan.grown(draw_person(settings, patient, marker).growth) if scan else plan


_MOST_MM, _MOST_DEG = 3.0, 3.0


def movement(settings: PhantomSettings, patient: int, *, scan: int, sequence: str) -> Affine:
    """Head motion of a sequence against the FLAIR: 4×4, from its world to the FLAIR's, in mm."""
    if sequence == "flair":
        return np.eye(4)
    rng = _sequence_stream(settings, patient, scan=scan, sequence=sequence)
    matrix = np.eye(4)
    angles = rng.uniform(-_MOST_DEG, _MOST_DEG, 3)
    matrix[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    centre = np.array(BRAIN_CENTRE_MM)
    matrix[:3, 3] = centre - matrix[:3, :3] @ centre + rng.uniform(-_MOST_MM, _MOST_MM, 3)
    return matrix


def _sequence_stream(
    settings: PhantomSettings, patient: int, *, scan: int, sequence: str
) -> np.random.Generator:
    number = 8 * scan + SEQUENCES.index(sequence)
    return patient_stream(settings.seed, patient, Stream.SEQUENCES, number)


def make_scan(
    settings: PhantomSettings, patient: int, marker: Marker, *, scan: int, sequence: str = "flair"
) -> tuple[Volume, Volume]:
    """Make one scan.

    Args:
        settings: The cohort's settings.
        patient: Number of the patient, from 0.
        marker: The patient's class.
        scan: 0 for the first scan, 1 for the follow-up: same head, grown tumour, new noise.
        sequence: `flair`, `t1`, `t1c` or `t2`.

    Returns:
        The scan (int16, 0 outside the brain) and mask (uint8) on one grid; where cysts are labelled
        they hold 2 and the rest of the tumour 1.
    """
    plan = plan_of(settings, patient, marker, scan=scan)
    raster = Raster(settings.spacing_mm)
    affine = raster.affine
    # The matrices here are small: threads are slower, and could change the last bit.
    with threadpool_limits(1):
        flair, mask, cyst = _render(
            settings, patient, plan, scan=scan, raster=raster, sequence=sequence
        )
        if settings.slice_thickness_mm is not None:
            n_thin = raster.shape[2]
            n_thick = n_thick_slices(n_thin, settings.slice_thickness_mm / raster.spacing_mm)
            _, cyst = thicken(flair, cyst, n_thick)
            flair, mask = thicken(flair, mask, n_thick)
            affine = thick_affine(affine, n_thin, n_thick)
    moved = np.linalg.inv(movement(settings, patient, scan=scan, sequence=sequence))
    values = mask.astype(np.uint8) + (mask & cyst if settings.label_cysts else 0)
    return Volume(flair, moved @ affine), Volume(values.astype(np.uint8), moved @ affine)


def _render(
    settings: PhantomSettings,
    patient: int,
    plan: Plan,
    *,
    scan: int,
    raster: Raster,
    sequence: str,
) -> tuple[NDArray[np.int16], NDArray[np.bool_], NDArray[np.bool_]]:
    def stream(purpose: Stream, scan: int = 0) -> np.random.Generator:
        return patient_stream(settings.seed, patient, purpose, scan)

    population = settings.population
    head = draw_head(stream(Stream.HEAD))
    centre = head.patient_point(plan.centre_mni_mm)
    pushed = head.pushed(centre, radius_mm=plan.radius_mm, push_mm=plan.push_mm)
    tissues = tissue(pushed, widening=_WIDENING[population], raster=raster)
    tumour = make_tumour(plan, tissues, centre, stream(Stream.TUMOUR_SHAPE))
    rng = stream(Stream.CONTRAST)
    contrast = draw_contrast(rng, population)
    noise = stream(Stream.SCAN, scan)
    if sequence != "flair":
        contrast, plan = sequence_contrast(contrast, sequence), sequence_plan(plan, sequence)
        noise = _sequence_stream(settings, patient, scan=scan + 4, sequence=sequence)
    signal = normal_signal(tissues, contrast, rng)
    if sequence == "flair":
        add_decoys(signal, tissues, head, population=population, rng=stream(Stream.DECOYS))
    if plan.spots is not None:
        rng = stream(Stream.SPOTS)
        add_spots(signal, tissues, head, marker=plan.spots, width=settings.spot_width, rng=rng)
    add_tumour(signal, tumour, plan, contrast)
    site = draw_site(stream(Stream.SITE), population)
    flair = acquire(signal, tissues.brain, site, noise, raster)
    mask = np.zeros(tissues.brain.shape, dtype=np.bool_)
    mask[tumour.box] = tumour.mask
    cyst = np.zeros_like(mask)
    cyst[tumour.box] = (tumour.cyst >= 0.5) & tumour.mask
    return raster.on_grid(flair), raster.on_grid(mask), raster.on_grid(cyst)
