"""Subgroups of scans by trait, with the same bands of age and size in every cohort.

The bands are fixed, not tertiles, so that evaluations of different cohorts can be compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from plgg.evaluate.records import CaseScores

Trait = Callable[[CaseScores], str | None]

# Lower end of each band: infants and toddlers, preschool, school age, adolescents; adults by about
# 20 years.
AGE_BANDS = {
    "0 to 2 years": 0,
    "3 to 5 years": 3,
    "6 to 11 years": 6,
    "12 to 17 years": 12,
    "18 to 39 years": 18,
    "40 to 59 years": 40,
    "60 years and older": 60,
}
SIZE_BANDS = {"under 5 mL": 0, "5 to 20 mL": 5, "20 to 60 mL": 20, "60 mL and more": 60}


def age_band(case: CaseScores) -> str | None:
    """Completed years in a band; None where the age is unknown."""
    return None if case.age_years is None else _band(case.age_years, AGE_BANDS)


def size_band(case: CaseScores) -> str | None:
    """True volume in a band; None where there is no tumour to measure."""
    return _band(case.volume_ml, SIZE_BANDS) if case.volume_ml else None


def _band(value: float, starts: Mapping[str, float]) -> str:
    return [name for name, start in starts.items() if value >= start][-1]


TRAITS: dict[str, Trait] = {
    "site": lambda case: case.site,
    "age": age_band,
    "sex": lambda case: case.sex,
    "marker": lambda case: case.marker,
    "size": size_band,
    "side": lambda case: case.side,
    "region": lambda case: case.region,
}
_ORDERS = {
    "age": tuple(AGE_BANDS),
    "size": tuple(SIZE_BANDS),
    "side": ("left", "midline", "right"),
    "region": ("supratentorial", "infratentorial"),
}


def grouped(rows: Sequence[CaseScores], trait: str) -> dict[str, list[CaseScores]]:
    """The rows by the levels of a trait, in their natural order; unknown ones are left out."""
    found: dict[str, list[CaseScores]] = {}
    for row in rows:
        level = TRAITS[trait](row)
        if level is not None:
            found.setdefault(level, []).append(row)
    order = _ORDERS.get(trait)
    return {name: found[name] for name in sorted(found, key=order.index if order else None)}
