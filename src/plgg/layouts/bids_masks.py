"""Tumour masks of a BIDS dataset: files under `derivatives` whose entities fit a scan's.

A mask counts only if its name or its pipeline's folder says tumour or lesion: masks of brains,
tissues and parts of a tumour lie beside them. Knows nothing of what the masks hold.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from plgg.io.nifti import is_nifti
from plgg.layouts.entities import Name, parse
from plgg.layouts.found import listed
from plgg.layouts.walk import files_below, fits

_WORDS = re.compile(r"tumou?r|lesion|glioma", re.IGNORECASE)
_WHOLE = re.compile(r"(whole)?(tumou?r|lesion)s?|wt|glioma|flairabnormality", re.IGNORECASE)
_PARTS = re.compile(r"core|enhanc|necro|edema|cyst|cavity", re.IGNORECASE)
_SAYS_WHAT = ("label", "desc", "seg")
_NATIVE = ("orig", "flair", "native", "individual")
# Entities that say how a mask was made, not of which scan.
_OF_MASKS = {*_SAYS_WHAT, "space", "rater", "res", "den", "hemi", "from", "to", "mode"}


@dataclass(frozen=True)
class Masks:
    """Masks of a dataset, and what was passed over."""

    masks: tuple[Name, ...]
    notes: tuple[str, ...]

    def of(self, flair: Name, flairs: list[Name]) -> list[Path]:
        """Masks that fit this scan: all that fit it, or none if one fits another scan better."""
        return [m.path for m in self.masks if _fit(m, flair) and _is_best(m, flair, flairs)]

    def unused(self, flairs: list[Name]) -> list[str]:
        """A note on masks that fit no scan, or several and none better than another."""
        used = {path for flair in flairs for path in self.of(flair, flairs)}
        names = [mask.path.name for mask in self.masks if mask.path not in used]
        return [f"Fits no scan, or several alike, so not used: {listed(names)}."] if names else []


def find_masks(root: Path, pattern: str | None) -> Masks:
    """All tumour masks of a dataset; with a pattern, all masks that fit it."""
    derived = root / "derivatives"
    names = [parse(path) for path in files_below(derived) if is_nifti(path)]
    names = [name for name in names if name.suffix in ("mask", "dseg")]
    if pattern:
        return Masks(tuple(n for n in names if fits(n.path, root, pattern)), ())
    tumours = [name for name in names if _is_whole_tumour(name, derived)]
    native = [n for n in tumours if n.entities.get("space", "orig").casefold() in _NATIVE]
    elsewhere = [n.path.name for n in tumours if n not in native]
    others = [n.path.name for n in names if n not in tumours]
    notes = []
    if elsewhere:
        notes.append(f"In another space than the FLAIR, so not used: {listed(elsewhere)}.")
    if others:
        notes.append(f"Not called the whole tumour, so not used (--mask): {listed(others)}.")
    return Masks(tuple(native), tuple(notes))


def _is_whole_tumour(name: Name, derived: Path) -> bool:
    said = [name.entities[key] for key in _SAYS_WHAT if key in name.entities]
    if any(_WHOLE.fullmatch(word) for word in said):
        return True
    if "label" in name.entities or any(re.search("brain", word, re.I) for word in said):
        return False
    if any(_PARTS.search(word) for word in said):
        return False
    pipeline = name.path.relative_to(derived).parts[0]
    return any(_WORDS.search(word) for word in (*said, pipeline))


def _fit(mask: Name, flair: Name) -> bool:
    """Whether every entity that both have is equal, and the participant is one."""
    shared = (set(mask.entities) & set(flair.entities)) - _OF_MASKS
    extra = set(mask.entities) - set(flair.entities) - _OF_MASKS
    same = all(mask.entities[k] == flair.entities[k] for k in shared)
    return "sub" in shared and same and not extra


def _is_best(mask: Name, flair: Name, flairs: list[Name]) -> bool:
    """Whether the mask names this scan alone: of a session with two runs, it must say which.

    Where several scans fit, the one without further entities is meant if there is one.
    """
    rivals = [other for other in flairs if _fit(mask, other)]
    exact = [o for o in rivals if set(o.entities) <= set(mask.entities)]
    return rivals == [flair] or exact == [flair]
