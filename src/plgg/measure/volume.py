"""Where the true volume lies with a stated chance, by a rule learnt on validation patients.

`plgg.calibrate` makes the rule; this applies it.
"""

from __future__ import annotations

import math

from plgg.io.calibration import VolumeRule
from plgg.io.result import VolumeInterval


def volume_interval(volume_ml: float, rule: VolumeRule | None) -> VolumeInterval | None:
    """The interval predicted · exp(±log_ratio); None without a rule, or where no tumour was found.

    Nothing is said of an empty mask: the rule knows ratios, and 0 times any of them is 0.

    Args:
        volume_ml: Predicted volume.
        rule: What the validation patients taught.
    """
    if rule is None or volume_ml <= 0:
        return None
    factor = math.exp(rule.log_ratio)
    return VolumeInterval(
        low_ml=round(volume_ml / factor, 4),
        high_ml=round(volume_ml * factor, 4),
        level=rule.level,
        n_patients=rule.n,
    )
