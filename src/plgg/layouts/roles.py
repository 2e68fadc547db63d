"""What an image is by its file's name: FLAIR, tumour mask, something else, or untold.

Knows nothing of folders; names that say nothing are `plain`.
"""

from __future__ import annotations

import re
from typing import Literal

Role = Literal["flair", "mask", "other", "plain"]

_FLAIR = frozenset(("flair", "t2f", "tirm", "darkfluid", "t2flair"))
_MASK = frozenset(
    ("mask", "seg", "segm", "segmentation", "label", "labels", "tumor", "tumour", "roi", "lesion",
     "wt", "gt", "annotation")
)  # fmt: skip
_TUMOUR = frozenset(("tumor", "tumour", "lesion", "wt"))
_OTHER = frozenset(
    ("t1", "t1w", "t1n", "t1c", "t1ce", "t1gd", "t1post", "mprage", "t2", "t2w", "pd", "adc", "dwi",
     "swi", "asl", "perf", "dti", "bold")
)  # fmt: skip
_BRAIN = frozenset(("brain", "brainmask", "bet", "skull"))
_T1_FLAIR = re.compile(r"t1w?[\W_]*flair")
_ONTO_FLAIR = re.compile(r"[\W_](?:to|in|on|onto|2|space|reg[a-z]*2?|registered)[\W_]*flair")
_WORDS = _FLAIR | _MASK | _OTHER | _BRAIN


def role(stem: str) -> Role:
    """What a file of this name (without suffix) is.

    A mask of the brain is `other`; so is any sequence that is known to be no FLAIR.
    """
    name = stem.casefold()
    words = set(re.findall(r"[a-z0-9]+", name))
    if words & _MASK or "brainmask" in words:
        return "other" if words & _BRAIN and not words & _TUMOUR else "mask"
    if _T1_FLAIR.search(name) or _moved_onto_flair(name):
        return "other"
    if words & _FLAIR or "flair" in name:
        return "flair"
    return "other" if words & _OTHER else "plain"


def _moved_onto_flair(name: str) -> bool:
    """Whether another sequence is named as lying on the FLAIR's grid: `T1_to_FLAIR`."""
    found = _ONTO_FLAIR.search(name)
    return found is not None and bool(set(re.findall(r"[a-z0-9]+", name[: found.start()])) & _OTHER)


def patient_of(stem: str) -> str:
    """The name without the words that say what the image is: `P001_flair` is of `P001`."""
    parts = re.findall(r"[^A-Za-z0-9]*[A-Za-z0-9]+", stem)
    kept = [part for part in parts if re.sub(r"\W|_", "", part).casefold() not in _WORDS]
    return "".join(kept).lstrip(" _-.") or stem
