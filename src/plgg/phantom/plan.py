"""`Plan`: parameters of a tumour, such as location, size and texture, drawn at random.

The frequencies are our choice after the literature on pediatric low-grade glioma. BRAF fusion is
the mark of pilocytic astrocytoma of the cerebellum, the optic pathway and the brainstem (Jones et
al. 2008, Cancer Res; Sievert and Fisher 2009, J Child Neurol). BRAF V600E is found mostly in the
hemispheres, the temporal lobe above all, in ganglioglioma and pleomorphic xanthoastrocytoma
(Schindler et al. 2011, Acta Neuropathol; Lassaletta et al. 2017, J Clin Oncol). Adult low-grade
glioma prefers the frontal lobe and the insula (Duffau and Capelle 2004, Cancer).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from plgg.phantom.settings import CLASSES, Marker, PhantomSettings, Population


@dataclass(frozen=True)
class Place:
    """A region as a centre on the patient's right, in MNI mm, and a spread (standard deviation)."""

    centre_mm: tuple[float, float, float]
    spread_mm: tuple[float, float, float]
    midline: bool = False


PLACES: dict[str, Place] = {
    "cerebellar hemisphere": Place((26, -62, -36), (6, 6, 5)),
    "vermis": Place((0, -60, -30), (3, 6, 5), midline=True),
    "brainstem": Place((0, -28, -30), (2, 2, 7), midline=True),
    "optic pathway": Place((0, 4, -12), (3, 3, 3), midline=True),
    "thalamus": Place((13, -18, 7), (3, 5, 3)),
    "insula": Place((38, 4, 2), (4, 8, 5)),
    "temporal": Place((46, -14, -18), (6, 12, 6)),
    "mesial temporal": Place((28, -14, -20), (4, 8, 4)),
    "frontal": Place((30, 32, 24), (9, 11, 12)),
    "parietal": Place((34, -46, 38), (8, 8, 8)),
    "occipital": Place((24, -78, 10), (6, 6, 8)),
}

_CHILD: dict[Marker, dict[str, float]] = {
    "BRAF_fusion": {
        "cerebellar hemisphere": 34, "vermis": 20, "brainstem": 12, "optic pathway": 16,
        "thalamus": 4, "temporal": 4, "mesial temporal": 2, "frontal": 4, "parietal": 4,
    },
    "BRAF_V600E": {
        "temporal": 30, "mesial temporal": 16, "frontal": 14, "parietal": 12, "occipital": 6,
        "insula": 5, "thalamus": 5, "optic pathway": 3, "brainstem": 4, "cerebellar hemisphere": 5,
    },
    "other": {
        "frontal": 28, "parietal": 18, "thalamus": 18, "insula": 8, "temporal": 9, "occipital": 5,
        "mesial temporal": 3, "brainstem": 5, "cerebellar hemisphere": 4, "vermis": 2,
    },
}  # fmt: skip

_ADULT: dict[Marker, dict[str, float]] = {
    "BRAF_fusion": {
        "cerebellar hemisphere": 20, "brainstem": 14, "thalamus": 20, "frontal": 16, "insula": 10,
        "temporal": 10, "parietal": 10,
    },
    "BRAF_V600E": {
        "temporal": 38, "mesial temporal": 16, "frontal": 14, "parietal": 16, "occipital": 8,
        "insula": 8,
    },
    "other": {
        "frontal": 48, "insula": 22, "temporal": 10, "parietal": 14, "occipital": 3, "thalamus": 3,
    },
}  # fmt: skip

FREQUENCIES: dict[Population, dict[Marker, dict[str, float]]] = {"child": _CHILD, "adult": _ADULT}


def draw_place(
    rng: np.random.Generator, population: Population, marker: Marker
) -> tuple[str, NDArray[np.float64]]:
    """Draw the location of a tumour with the appearance of this class.

    Returns:
        The region's name and a point in MNI's world, in mm.
    """
    frequencies = FREQUENCIES[population][marker]
    shares = np.array(list(frequencies.values()))
    name = str(rng.choice(list(frequencies), p=shares / shares.sum()))
    place = PLACES[name]
    point = rng.normal(place.centre_mm, place.spread_mm)
    if not place.midline and rng.random() < 0.5:
        point[0] = -point[0]
    return name, point


MIN_VOLUME_ML, MAX_VOLUME_ML = 1.0, 70.0
# Shares of the classes in CLASSES' order; fusion is the commonest in children, rare in adults.
CLASS_SHARES: dict[Population, tuple[float, float, float]] = {
    "child": (0.45, 0.25, 0.30),
    "adult": (0.15, 0.25, 0.60),
}
_MEDIAN_ML: dict[Population, float] = {"child": 15.0, "adult": 30.0}
_SPREAD = 0.5
_HALO_WIDTHS = (0.8, 1.2)  # Relative to the middle one.


class _Appearance(NamedTuple):
    """Means of a class's appearance; see `Plan` for what they are."""

    one_cyst: float
    small_cysts: float
    softness_mm: float
    roughness: float
    see_through: float
    brightness: float
    texture: float
    rim: float
    size: float


_LOOKS: dict[Marker, _Appearance] = {
    "BRAF_fusion": _Appearance(0.60, 0.12, 0.8, 0.12, 0.10, 0.44, 0.08, 0.18, 1.0),
    "BRAF_V600E": _Appearance(0.10, 0.60, 1.5, 0.22, 0.18, 0.40, 0.16, 0.10, 0.8),
    "other": _Appearance(0.06, 0.10, 2.2, 0.18, 0.30, 0.34, 0.08, 0.03, 1.2),
}


@dataclass(frozen=True, eq=False)
class Plan:
    """Parameters of a tumour.

    Attributes:
        place: Name of the region.
        centre_mni_mm: Centre in MNI's world, shape (3,).
        volume_ml: Volume of the tumour without its halo, in mL.
        stretch: Length of the three axes relative to a ball's, shape (3,).
        roughness: Relative irregularity of the border.
        softness_mm: Width over which the border fades.
        see_through: Share of the normal tissue that shows through, in [0, 1].
        brightness: Signal above grey matter, as a share of white matter's signal.
        texture: Relative unevenness of the solid part.
        rim: Extra signal at the border and around cysts, as a share of white matter's.
        cysts: One row a cyst: offset of its centre in tumour radii (3), its radius in tumour radii.
        cyst_signal: Signal of the cysts between fluid's (0) and white matter's (1).
        push_mm: Mass effect.
        halo: Width of a bright halo, relative to the tumour's radius; 0 is none.
        infiltrates: Whether the halo is tumour and part of the mask, or oedema.
        spots: Class whose dark spots are painted; None where the tumour itself shows its class.
    """

    place: str
    centre_mni_mm: NDArray[np.float64]
    volume_ml: float
    stretch: NDArray[np.float64]
    roughness: float
    softness_mm: float
    see_through: float
    brightness: float
    texture: float
    rim: float
    cysts: NDArray[np.float64]
    cyst_signal: float
    push_mm: float
    halo: float = 0.0
    infiltrates: bool = False
    spots: Marker | None = None

    @property
    def radius_mm(self) -> float:
        """Radius of a ball of the volume without the halo, in mm."""
        return float((self.volume_ml * 1000.0 * 3.0 / (4.0 * np.pi)) ** (1.0 / 3.0))

    def grown(self, factor: float) -> Plan:
        """The tumour at a later scan: its volume times `factor`, up to `MAX_VOLUME_ML`."""
        return replace(self, volume_ml=min(self.volume_ml * factor, MAX_VOLUME_ML))


def draw_plan(rng: np.random.Generator, marker: Marker, settings: PhantomSettings) -> Plan:
    """Draw a tumour.

    Args:
        rng: The patient's own stream.
        marker: The patient's class.
        settings: `link` is the probability that what shows the marker is drawn from this class;
            otherwise it is drawn from a class taken at random, so that at 0 the plan does not
            depend on `marker` at all.
    """
    population = settings.population
    by_chance = _any_class(rng, population)
    source = marker if rng.random() < settings.link else by_chance
    # Drawn only where the setting is used: without it, all other random numbers stay the same.
    apart = settings.elsewhere > 0 and rng.random() < settings.elsewhere
    like = _any_class(rng, population) if apart else source
    place, centre = draw_place(rng, population, like)
    look = _LOOKS[like]
    cysts = _draw_cysts(rng, look)
    median_ml = _MEDIAN_ML[population] * look.size * (1.5 if len(cysts) == 1 else 1.0)
    volume_ml = median_ml * float(rng.lognormal(0.0, _SPREAD))
    volume_ml = min(max(volume_ml, MIN_VOLUME_ML), MAX_VOLUME_ML)
    faint = 0.6 if rng.random() < 0.12 else 1.0
    adult = 0.85 if population == "adult" else 1.0
    plan = Plan(
        place=place,
        centre_mni_mm=centre,
        volume_ml=volume_ml,
        stretch=np.exp(rng.normal(0.0, 0.16, 3)),
        roughness=look.roughness * float(rng.lognormal(0.0, 0.45)),
        softness_mm=look.softness_mm * float(rng.lognormal(0.0, 0.6)),
        see_through=float(np.clip(rng.normal(look.see_through, 0.14), 0.0, 0.5)),
        brightness=(
            look.brightness * faint * adult * float(rng.lognormal(0.0, 0.25)) * settings.contrast
        ),
        texture=look.texture * float(rng.lognormal(0.0, 0.6)),
        rim=max(float(rng.normal(look.rim, 0.12)), 0.0),
        cysts=cysts,
        cyst_signal=float(rng.uniform(0.05, 0.45)),
        push_mm=float(rng.uniform(0.05, 0.16)) * float(np.cbrt(volume_ml)) * 4.0,
        spots=source if apart else None,
    )
    if settings.halos > 0 and rng.random() < settings.halos:
        infiltrates = source != "BRAF_fusion"
        halo = settings.halo_width * float(rng.uniform(*_HALO_WIDTHS))
        # The drawn volume lies between those without and with the halo. So masks have usual sizes
        # whether the halo belongs to them or not, and the bright volume does not show which.
        without = max(volume_ml / (1.0 + halo) ** 1.5, MIN_VOLUME_ML)
        return replace(plan, volume_ml=without, halo=halo, infiltrates=infiltrates)
    return plan


def _any_class(rng: np.random.Generator, population: Population) -> Marker:
    return CLASSES[int(rng.choice(len(CLASSES), p=CLASS_SHARES[population]))]


def _draw_cysts(rng: np.random.Generator, look: _Appearance) -> NDArray[np.float64]:
    """No cyst, one large one beside a nodule, or a few small ones; rows as in `Plan.cysts`."""
    kind = rng.random()
    if kind < look.one_cyst:
        # Off the centre, so that the solid part is left as a nodule on the wall.
        return np.array([[*(_direction(rng) * rng.uniform(0.15, 0.4)), rng.uniform(0.6, 0.85)]])
    if kind < look.one_cyst + look.small_cysts:
        return np.array(
            [
                [*(_direction(rng) * rng.uniform(0.2, 0.65)), rng.uniform(0.2, 0.36)]
                for _ in range(int(rng.integers(2, 6)))
            ]
        )
    return np.zeros((0, 4))


def _direction(rng: np.random.Generator) -> NDArray[np.float64]:
    vector = rng.normal(size=3)
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float64)
