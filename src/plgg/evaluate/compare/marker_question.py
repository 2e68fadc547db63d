"""Whether the marker can help segmentation on a cohort, and whether learning it did.

`oracle` has the true marker as an input, so its gain over `single` is the most that information
about the marker can give these networks. The gain of `multitask` comes from learning the marker
with the outline, by that information or as a regulariser.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from plgg.evaluate.compare.experiment_records import MarkerAnswer, MarkerGain
from plgg.evaluate.compare.multiple_comparisons import adjust_p_values
from plgg.evaluate.compare.power import ALPHA
from plgg.evaluate.compare.records import Contrast

SINGLE, ORACLE, MULTITASK = "single", "oracle", "multitask"


def marker_answer(
    contrasts: tuple[Contrast, ...], compare: Callable[[str, str], Contrast | None]
) -> MarkerAnswer | None:
    """The answer; None where there is no oracle beside the single arm.

    Args:
        contrasts: On the test part, against the experiment's baseline.
        compare: Makes a contrast of two arms, b minus a; None where they share no patient.
    """
    by_arm = {contrast.b: contrast for contrast in contrasts if contrast.a == SINGLE}
    n_compared = len(by_arm)
    if not by_arm:
        wanted = [compare(SINGLE, arm) for arm in (ORACLE, MULTITASK)]
        family = adjust_p_values([contrast for contrast in wanted if contrast is not None])
        by_arm, n_compared = {contrast.b: contrast for contrast in family}, len(family)
    if ORACLE not in by_arm:
        return None
    can = by_arm[ORACLE]
    did = by_arm.get(MULTITASK)
    sentence = _sentence(can, did, n_compared)
    return MarkerAnswer(_gain(can), None if did is None else _gain(did), sentence)


def _gain(contrast: Contrast) -> MarkerGain:
    low, high = _ends(contrast)
    return MarkerGain(
        contrast.b, contrast.difference, low, high, contrast.adjusted_p, _conclusion_of(contrast)
    )


def _ends(contrast: Contrast) -> tuple[float | None, float | None]:
    """The ends of the interval that decides: with several splits, of the corrected one."""
    found = contrast.splits.interval if contrast.splits else contrast.interval
    return found.ends or (None, None)


def _conclusion_of(contrast: Contrast) -> Literal["better", "worse", "not shown"]:
    """The conclusion by the adjusted p value; the interval must exclude zero as well."""
    low, high = _ends(contrast)
    if contrast.adjusted_p is None or contrast.adjusted_p >= ALPHA:
        return "not shown"
    if low is None or high is None or low <= 0 <= high:
        return "not shown"
    return "better" if contrast.difference > 0 else "worse"


def _sentence(can: Contrast, did: Contrast | None, n_compared: int) -> str:
    shown = {_conclusion_of(can), *([] if did is None else [_conclusion_of(did)])}
    parts = [_CAN[_conclusion_of(can)].format(_numbers(can, n_compared))]
    if did is not None:
        parts.append(_DID[_conclusion_of(did)].format(_numbers(did, n_compared)))
    caution = " Not shown does not mean absent." if "not shown" in shown else ""
    one = " One split cannot tell what other training patients would give."
    one = one if can.splits is None else ""
    return f"{'; '.join(parts)}.{caution}{one}"


_CAN = {
    "better": "The marker can help the outline here: a network that is told the true one (oracle) "
    "does better than one that is not ({})",
    "worse": "Nothing says that the marker can help the outline here: a network that is told the "
    "true one (oracle) does worse than one that is not ({})",
    "not shown": "That the marker can help the outline here is not shown: what a network gains or "
    "loses that is told the true one (oracle) may be chance ({})",
}
_DID = {
    "better": "learning it beside the outline did help ({})",
    "worse": "learning it beside the outline did harm ({})",
    "not shown": "that learning it beside the outline helped is not shown ({})",
}


def _numbers(contrast: Contrast, n_compared: int) -> str:
    low, high = _ends(contrast)
    test = "corrected p" if contrast.splits is not None else "Wilcoxon p over patients"
    adjusted = f", adjusted for {n_compared} arms" if n_compared > 1 else ""
    p = contrast.adjusted_p
    ends = "undefined" if low is None or high is None else f"{low:+.3f} to {high:+.3f}"
    told = f"{test} undefined" if p is None else f"{test} = {p:.3f}{adjusted}"
    numbers = f"Dice, {contrast.b} minus {contrast.a}: {contrast.difference:+.3f}"
    numbers += f", 95 % interval {ends}, {told}"
    return numbers.replace("-", "−")
