"""What each arm gains over the baseline, in sentences that agree with each other.

Where there are several splits, the corrected test decides; where there are several arms, its p is
adjusted for their number. Knows nothing of pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from plgg.compare import Contrast
from plgg.compare.text import verdict
from plgg.report.numbers import UNDEFINED, listed, reach, signed, typographic
from plgg.report.palette import arm_title

_SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Gain:
    """One arm beside the baseline.

    Attributes:
        title: Which arms.
        verdict: Which is better, and whether that may be chance.
        needed: What it would take to find a gain that is hoped for; blank where unknown.
    """

    title: str
    verdict: str
    needed: str


def gain(contrast: Contrast) -> Gain:
    """A contrast in words."""
    needed = contrast.power.sentence if contrast.power else ""
    title = f"{arm_title(contrast.b)} − {arm_title(contrast.a).lower()}"
    return Gain(title, typographic(verdict(contrast)), typographic(needed))


def gains_told(contrasts: Sequence[Contrast]) -> list[str]:
    """What may be concluded, for a reader who is no statistician.

    One arm beside the baseline with its interval; of several which of them are shown to differ, as
    their numbers stand in the figure.
    """
    if len(contrasts) == 1:
        return [_difference(contrasts[0]), _concluded(contrasts[0])]
    if not contrasts:
        return []
    baseline = arm_title(contrasts[0].a).lower()
    shown = [c for c in contrasts if is_shown(c)]
    if not shown:
        return [
            f"None of the {len(contrasts)} other models is shown to be better or worse than the "
            f"{baseline} model."
        ]
    told = []
    for word, above in (("better", True), ("worse", False)):
        names = [arm_title(c.b).lower() for c in shown if (c.difference > 0) is above]
        if names:
            told.append(f"Shown to be {word} than the {baseline} model: {listed(names)}.")
    if len(shown) < len(contrasts):
        told.append("For the others that is not settled.")
    if contrasts[0].splits is None:
        told.append("One split cannot tell how much of that is chance in training.")
    return told


def _difference(contrast: Contrast) -> str:
    told = interval_of(contrast)
    interval = f" (95 % interval {told})" if told else ""
    return (
        f"{arm_title(contrast.b)} minus {arm_title(contrast.a).lower()} is "
        f"{signed(contrast.difference)}{interval}."
    )


def interval_of(contrast: Contrast) -> str:
    """The interval to go by: over splits that share patients the corrected one; may be blank."""
    found = contrast.splits.interval if contrast.splits else contrast.interval
    told = reach(found.low, found.high, with_sign=True)
    return "" if told == UNDEFINED else told


def _concluded(contrast: Contrast) -> str:
    if not is_shown(contrast):
        return "That does not settle which of them is better."
    better = contrast.b if contrast.difference > 0 else contrast.a
    if contrast.splits is None:
        return (
            f"For these patients and these two trained models {arm_title(better).lower()} is "
            "better; one split cannot tell how much of that is chance in training."
        )
    return f"The evidence favours the {arm_title(better).lower()} model."


def is_shown(contrast: Contrast) -> bool:
    """Whether a difference is hardly chance, by the p value that its verdict tells.

    Of one split its interval, which so few patients make too narrow, has to leave zero out as well.
    """
    if contrast.adjusted_p is None or contrast.adjusted_p >= _SIGNIFICANT:
        return False
    low, high = contrast.interval.low, contrast.interval.high
    if contrast.splits is not None:
        return True
    return low is not None and high is not None and (low > 0 or high < 0)
