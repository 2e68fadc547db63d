"""Does the scan's brain lie on the atlas' brain?"""

from __future__ import annotations

from plgg.io.quality import Verdict
from plgg.preprocess.gates.limits import at_least
from plgg.preprocess.registration.aligned import Aligned

OVERLAP = at_least(0.92, 0.85)


def brain_overlap(aligned: Aligned) -> Verdict:
    """Dice coefficient of the two brains on the atlas grid."""
    ours, theirs = aligned.brain, aligned.atlas.frame.brain
    found = 2.0 * float((ours & theirs).sum()) / max(float(ours.sum() + theirs.sum()), 1.0)
    return Verdict(
        gate="brain-overlap",
        status=OVERLAP.status(found),
        value=round(found, 4),
        limits=OVERLAP.words(),
        message=f"the brain overlaps the atlas' with a Dice of {found:.3f}",
        remedy="Look at the picture: is the whole brain there, without skull, and upright?",
    )
