"""Do the insides agree? Mutual information of scan and atlas where both are brain."""

from __future__ import annotations

from plgg.io.quality import Verdict
from plgg.preprocess.gates.limits import at_least
from plgg.preprocess.registration.aligned import Aligned
from plgg.preprocess.registration.information import mutual_information

SIMILARITY = at_least(1.0075, 1.0060)


def similarity(aligned: Aligned) -> Verdict:
    """Normalised mutual information within both brains: outlines alone count for nothing."""
    both = aligned.brain & aligned.atlas.frame.brain
    found = mutual_information(aligned.scan[both], aligned.atlas.frame.image.data[both])
    return Verdict(
        gate="similarity",
        status=SIMILARITY.status(found),
        value=round(found, 4),
        limits=SIMILARITY.words(),
        message=f"inside the brain, scan and atlas share little (mutual information {found:.4f})",
        remedy="Look at the picture: is it a brain, in focus, and does it lie as the atlas does?",
    )
