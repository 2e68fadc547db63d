"""Building blocks of pages: tiles, pictures, lists of facts, colours and titles of arms.

Colours are those of Okabe and Ito, Color Universal Design (2008).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from plgg.core.estimate import Estimate
from plgg.report.numbers import ends, number

BLUE = "#0072b2"
INK = "#26323d"
FAINT = "#66727e"
RULE = "#dfe4e8"
GREY = "#c3ccd4"
TRUTH = "#19e37d"
PREDICTION = "#ff3df0"

_ARMS = {"single": "#e69f00", "multitask": BLUE}
_OTHER_ARMS = ("#009e73", "#cc79a7", "#d55e00", "#56b4e9")
_CLASSES = ("#009e73", "#cc79a7", "#56b4e9", "#f0e442", "#d55e00", "#999999")
_TITLES = {
    "single": "Single-task",
    "multitask": "Multitask",
    "dense": "Dense",
    "dense-marker": "Dense and marker",
    "oracle": "Oracle",
}

Facts = tuple[tuple[str, str], ...]
"""Pairs of a label and a value."""


@dataclass(frozen=True)
class Tile:
    """A number or a verdict, large, with a note below.

    Attributes:
        label: What it is.
        value: In short.
        note: What to know about it.
        colour: Of its upper edge; blank for that of its tone.
        tone: `good`, `doubtful` or `failed`; `plain` is no verdict.
    """

    label: str
    value: str
    note: str = ""
    colour: str = ""
    tone: str = "plain"


def estimate_tile(label: str, found: Estimate, *, digits: int = 3, colour: str = BLUE) -> Tile:
    """A number with its 95 % interval as the note."""
    note = "" if found.ends is None else f"95 % interval {ends(found, digits)}"
    return Tile(label, number(found.value, digits), note, colour)


@dataclass(frozen=True)
class Picture:
    """An image inside the page.

    Attributes:
        source: A data URI.
        alt: Alternative text.
        caption: What to look at.
    """

    source: str
    alt: str
    caption: str = ""


def status_word(status: str) -> str:
    """A verdict's status as people read it: a doubtful scan is included, but flagged."""
    return "flagged" if status == "doubtful" else status


def known(pairs: Iterable[tuple[str, str]]) -> Facts:
    """The facts that have a value."""
    return tuple((label, value) for label, value in pairs if value)


def arm_colour(arm: str, arms: Sequence[str]) -> str:
    """The colour of an arm, the same in all figures."""
    others = [name for name in arms if name not in _ARMS]
    return _ARMS.get(arm) or _OTHER_ARMS[others.index(arm) % len(_OTHER_ARMS)]


def arm_title(arm: str) -> str:
    """The title of an arm in the paper, else its name."""
    return _TITLES.get(arm, arm)


REGIONS = ("#35d6ff", "#ffd23d", "#59f08a", "#ff9440", "#b9a2ff", "#ffffff", "#ff6b6b")
"""Colours of regions within the tumour, on grey pictures, in the order of the labels."""


def class_colour(index: int) -> str:
    """The colour of the marker class with this index."""
    return _CLASSES[index % len(_CLASSES)]
