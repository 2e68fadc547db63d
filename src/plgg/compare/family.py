"""Several arms against one baseline: p values adjusted for their number, and their power."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from plgg.compare.power import Aim, power_of
from plgg.compare.records import Contrast


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down adjustment: max over p_(j) ≤ p_(i) of min(1, (m − j + 1) · p_(j)).

    Undefined ones stay undefined and do not count.

    Source: S. Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal
    of Statistics 6, 1979.
    """
    order = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, index) in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p))
        adjusted[index] = highest
    return adjusted


def as_family(contrasts: Sequence[Contrast], aim: Aim | None = None) -> tuple[Contrast, ...]:
    """The same contrasts, with adjusted p values among those on the same part, and their power."""
    families: dict[str | None, list[int]] = defaultdict(list)
    for index, contrast in enumerate(contrasts):
        families[contrast.part].append(index)
    found = list(contrasts)
    for members in families.values():
        adjusted = holm([deciding_p(contrasts[index]) for index in members])
        for index, p in zip(members, adjusted, strict=True):
            power = power_of(contrasts[index], aim or Aim())
            found[index] = replace(contrasts[index], adjusted_p=p, power=power)
    return tuple(found)


def deciding_p(contrast: Contrast) -> float | None:
    """P of the test to go by: the corrected t over splits; of one split, Wilcoxon over patients."""
    if contrast.splits is not None and contrast.splits.corrected_t is not None:
        return contrast.splits.corrected_t.p
    return contrast.patients.wilcoxon.p if contrast.patients is not None else None
