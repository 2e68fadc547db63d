"""Single values out of a DICOM header, classic or enhanced, as plain Python.

A header is a list of layers: the frame's own groups and the shared ones before the file itself.
Knows nothing of what a value is for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.datadict import tag_for_keyword

OLDEST_YEARS = 120.0
Layer = Any
"""A data set of pydicom, or None where there is none."""


def first(layers: list[Layer], keyword: str) -> Any:  # noqa: ANN401 - a DICOM value is any
    """A value from the frame's own groups, else from the shared ones, else from the file."""
    return next(_all(layers, keyword), None)


def _all(layers: list[Layer], keyword: str) -> Iterator[Any]:
    tag = tag_for_keyword(keyword)
    for layer in layers:
        for group in _groups(layer):
            if tag in group and group[tag].value not in (None, ""):
                yield group[tag].value


def _groups(layer: Any) -> Iterator[Any]:  # noqa: ANN401 - a data set or None
    """A frame's groups are each a sequence of one item; a file is its own group."""
    if layer is None:
        return
    if "SharedFunctionalGroupsSequence" in layer or "Rows" in layer:
        yield layer
        return
    for element in layer:
        if element.VR == "SQ" and element.value:
            yield element.value[0]


def time_ms(layers: list[Layer], *keywords: str) -> float | None:
    """The first positive time among some attributes, in ms."""
    values = (number(first(layers, keyword), 0.0) for keyword in keywords)
    return next((value for value in values if value > 0), None)


def parts(value: Any) -> list[Any]:  # noqa: ANN401
    """The values of an attribute that may hold none, one or several."""
    if value is None or isinstance(value, str):
        return [] if value is None else [value]
    return list(value)


def number(value: Any, default: float) -> float:  # noqa: ANN401
    """The first value as a number; the default where there is none."""
    found = parts(value) if hasattr(value, "__len__") else [value]
    return default if not found or found[0] in (None, "") else float(found[0])


def whole(value: Any, default: int) -> int:  # noqa: ANN401
    """The first value as a whole number; the default where there is none."""
    return int(number(value, default))


def numbers(value: Any, count: int) -> NDArray[np.float64] | None:  # noqa: ANN401
    """Exactly `count` finite numbers, or None."""
    found = parts(value)
    if len(found) != count or None in found:
        return None
    converted = np.array([float(part) for part in found])
    return converted if np.isfinite(converted).all() else None


def age_years(text: str) -> float | None:
    """Years from DICOM's age string, such as `007Y`, `018M`, `003W` or `012D`.

    None where it says nothing: nobody is written down as 000Y, nor lives to be 999.
    """
    found = re.fullmatch(r"\s*([0-9]{1,3})([YMWD])\s*", text.upper())
    if found is None:
        return None
    years = int(found[1]) / {"Y": 1.0, "M": 12.0, "W": 52.1775, "D": 365.2425}[found[2]]
    return round(years, 3) if 0 < years <= OLDEST_YEARS else None
