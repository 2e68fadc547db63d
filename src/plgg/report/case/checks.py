"""Names and descriptions of the quality checks, for readers of a report.

The checks are the gates of `plgg.preprocess.gates` and the test for out-of-distribution scans.
"""

from __future__ import annotations

TRAINING = "training distribution"

_MEANING = {
    "field-of-view": "how much brain the outermost slab holds: whether the scan cuts the brain off",
    "brain-volume": "the brain in mL: a wrong voxel size shows here",
    "orientation": "how much better the head fits the atlas as it lies than turned",
    "fluid": "brightness of cerebrospinal fluid against white matter",
    "t1-like": "correlation with a T1: whether it is the sequence that it is said to be",
    "scale": "how far the brain was scaled to fit the atlas, in the oddest direction",
    "shear": "largest scaling over smallest: a wrong slice spacing shows here",
    "rotation": "angle between the head and what the header says, in degrees",
    "brain-overlap": "Dice of this brain and the atlas brain",
    "similarity": "mutual information of scan and atlas inside the brain",
    "header-orientation": "whether the header turns the head",
    "familiarity": "distance from the scans that the model was trained on",
}
_NAMES = {"familiarity": TRAINING, "t1-like": "T1-like"}


def check_name(gate: str) -> str:
    """The name of a check for readers, such as `brain overlap` for `brain-overlap`."""
    return _NAMES.get(gate, gate.replace("-", " "))


def check_meaning(gate: str) -> str:
    """What a check measures; blank for checks of other packages, whose messages explain them."""
    return _MEANING.get(gate, "")
