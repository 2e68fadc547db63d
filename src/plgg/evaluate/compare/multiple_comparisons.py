"""Multiple comparisons: p values of one family of contrasts, adjusted after Holm."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from plgg.evaluate.compare.power import PowerTarget, power_of
from plgg.evaluate.compare.records import Contrast


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down adjustment (1979); undefined p values stay undefined and do not count."""
    known = np.array([p for p in p_values if p is not None], dtype=np.float64)
    order = np.argsort(known, kind="stable")
    # The smallest of m is multiplied by m, the next by m - 1; none falls below one before it.
    steps = known[order] * np.arange(known.size, 0, -1)
    adjusted = np.empty_like(known)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    remaining = iter(adjusted)
    return [None if p is None else float(next(remaining)) for p in p_values]


def adjust_p_values(
    contrasts: Sequence[Contrast], aim: PowerTarget | None = None
) -> tuple[Contrast, ...]:
    """The same contrasts, with adjusted p values among those on the same part, and their power."""
    families: dict[str | None, list[int]] = defaultdict(list)
    for index, contrast in enumerate(contrasts):
        families[contrast.part].append(index)
    found = list(contrasts)
    for members in families.values():
        adjusted = holm([deciding_p(contrasts[index]) for index in members])
        for index, p in zip(members, adjusted, strict=True):
            power = power_of(contrasts[index], aim or PowerTarget())
            found[index] = replace(contrasts[index], adjusted_p=p, power=power)
    return tuple(found)


def deciding_p(contrast: Contrast) -> float | None:
    """The p value that decides: corrected t over splits; with one split, Wilcoxon over patients."""
    if contrast.splits is not None and contrast.splits.corrected_t is not None:
        return contrast.splits.corrected_t.p
    return contrast.patients.wilcoxon.p if contrast.patients is not None else None
