"""`save`: a figure as a file, in which names from data are letters and nothing else.

Matplotlib sets what stands between two `$` as a formula, and fails where it is none.
"""

from __future__ import annotations

import re
import warnings
from functools import partial
from typing import Any, BinaryIO

from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter, Formatter, FuncFormatter

from plgg.errors import visible

_DOLLAR = re.compile(r"(?<!\\)\$")
# What Matplotlib itself writes at a logarithmic axis is a formula and stays one.
_OWN = "\\mathdefault"


def save(figure: Figure, where: BinaryIO, **options: Any) -> None:  # noqa: ANN401 - Matplotlib's own
    """Write a figure.

    Args:
        figure: Its texts are changed to what is shown.
        where: An open file.
        options: Of `Figure.savefig`.
    """
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            formatter = axis.get_major_formatter()
            if isinstance(formatter, FixedFormatter | FuncFormatter):
                axis.set_major_formatter(FuncFormatter(partial(_lettered, formatter)))
    for text in figure.findobj(Text):
        text.set_text(letters(text.get_text()))
    with warnings.catch_warnings():
        # A letter that the font lacks is drawn as a box.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(where, **options)


def _lettered(formatter: Formatter, value: float, position: int | None) -> str:
    return letters(formatter(value, position))


def letters(text: str) -> str:
    """A text that Matplotlib draws as it is, line by line."""
    if _OWN in text:
        return text
    return "\n".join(_DOLLAR.sub(r"\\$", visible(line)) for line in text.split("\n"))
