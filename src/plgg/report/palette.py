"""Colours that people with any colour vision tell apart (Okabe and Ito), and names of arms.

Okabe and Ito, Color Universal Design (2008). Knows nothing of what is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence

INK = "#26323d"
FAINT = "#66727e"
RULE = "#dfe4e8"
TRUTH = "#19e37d"
PREDICTION = "#ff3df0"

_ARMS = {"single": "#e69f00", "multitask": "#0072b2"}
_OTHER_ARMS = ("#009e73", "#cc79a7", "#d55e00", "#56b4e9")
_CLASSES = ("#009e73", "#cc79a7", "#56b4e9", "#f0e442", "#d55e00", "#999999")
_TITLES = {"single": "Single-task", "multitask": "Multitask"}
SHAPES = ("o", "^", "s", "D", "v", "P")


def arm_colour(arm: str, arms: Sequence[str]) -> str:
    """The colour of an arm, the same in all figures."""
    others = [name for name in arms if name not in _ARMS]
    return _ARMS.get(arm) or _OTHER_ARMS[others.index(arm) % len(_OTHER_ARMS)]


def class_colour(index: int) -> str:
    """The colour of the marker class with this index."""
    return _CLASSES[index % len(_CLASSES)]


def arm_title(arm: str) -> str:
    """What the paper calls an arm."""
    return _TITLES.get(arm, arm)
