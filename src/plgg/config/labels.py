"""Labels of the tumour's mask: named regions, each a set of values in the masks.

They are regions, not classes: they may be nested, as in BraTS, and each has an output of its own
(sigmoid). The first is the whole tumour. Any two are nested or disjoint, so that one label map
encodes all of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from plgg.config.base import Settings, Text

MAX_LABELS = 8
_NAME = re.compile(r"[a-z][a-z0-9_]{0,47}")
Value = Annotated[int, Field(ge=1, le=65535)]


def _several(given: Any) -> Any:  # noqa: ANN401 - what a user writes is anything
    return [given] if isinstance(given, int) and not isinstance(given, bool) else given


def _sorted(values: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(set(values)))


class Label(Settings):
    """A region of the tumour: its name, and its values in a mask.

    >>> Label(name="cyst", values=3).values
    (3,)
    """

    name: Text
    values: Annotated[
        tuple[Value, ...],
        Field(min_length=1, max_length=64),
        BeforeValidator(_several),
        AfterValidator(_sorted),
    ]


def _checked(given: Any) -> Any:  # noqa: ANN401
    if isinstance(given, Mapping):
        return [{"name": name, "values": values} for name, values in given.items()]
    return given


Labels = Annotated[tuple[Label, ...], BeforeValidator(_checked), Field(max_length=MAX_LABELS)]


def require_label_rules(labels: Sequence[Label]) -> None:
    """Check that labels have valid names, and values that are nested or disjoint.

    Raises:
        ValueError: If a name is not plain or stands twice, or the values do not nest.
    """
    names = [label.name for label in labels]
    for name in names:
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"a label may not be called {name[:40]!a}: use small letters, digits and '_'"
            )
    if len(set(names)) < len(names):
        raise ValueError("labels names one twice")
    for place, label in enumerate(labels):
        _require_nested(labels[:place], label)


def _require_nested(before: Sequence[Label], label: Label) -> None:
    values = set(label.values)
    if before and not values < set(before[0].values):
        raise ValueError(
            f"the label {label.name} must hold some and not all of the values of "
            f"{before[0].name}: the first label is the whole tumour"
        )
    for other in before:
        common = values & set(other.values)
        if common and not values < set(other.values):
            raise ValueError(
                f"the labels {other.name} and {label.name} overlap: of two labels the later one "
                "lies within the earlier, or they have no value in common"
            )


def parents(labels: Sequence[Label]) -> tuple[int, ...]:
    """For each label, the index of the smallest label that contains it; -1 for the first.

    >>> whole = Label(name="tumour", values=(1, 2, 3))
    >>> core = Label(name="core", values=(1, 3))
    >>> parents([whole, core, Label(name="cyst", values=(3,))])
    (-1, 0, 1)
    """
    found = []
    for place, label in enumerate(labels):
        around = [n for n in range(place) if set(label.values) < set(labels[n].values)]
        found.append(min(around, key=lambda n: len(set(labels[n].values)), default=-1))
    return tuple(found)


def within(labels: Sequence[Label], place: int) -> tuple[int, ...]:
    """Indices of a label and of all labels within it.

    >>> within([Label(name="tumour", values=(1, 3)), Label(name="cyst", values=(3,))], 0)
    (0, 1)
    """
    values = set(labels[place].values)
    return tuple(n for n, label in enumerate(labels) if set(label.values) <= values)
