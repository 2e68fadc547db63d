"""Numbers as a reader wants them: fixed decimals, true minus signs, a dash for the unknown."""

from __future__ import annotations

import math
import re

UNDEFINED = "–"


def number(value: float | None, digits: int = 3) -> str:
    """Fixed decimals; a dash for None and for what is not finite."""
    if value is None or not math.isfinite(value):
        return UNDEFINED
    text = f"{value:.{digits}f}"
    return typographic(text.lstrip("-") if float(text) == 0 else text)


def signed(value: float | None, digits: int = 3) -> str:
    """Like `number`, with a plus sign above zero."""
    text = number(value, digits)
    above = value is not None and math.isfinite(value) and float(f"{value:.{digits}f}") > 0
    return f"+{text}" if above else text


def reach(low: float | None, high: float | None, *, with_sign: bool = False) -> str:
    """Both ends of an interval; a dash where one is unknown."""
    if low is None or high is None:
        return UNDEFINED
    form = signed if with_sign else number
    return f"{form(low)} to {form(high)}"


def spread(mean: float | None, sd: float | None) -> str:
    """Mean ± standard deviation, or the mean alone."""
    return number(mean) if sd is None else f"{number(mean)} ± {number(sd)}"


def count(n: int, noun: str) -> str:
    """`1 patient`, `2 patients`."""
    return f"{n} {noun}{'' if n == 1 else 's'}"


def listed(names: list[str] | tuple[str, ...], *, at_most: int = 12) -> str:
    """Names in a row; of many, the first."""
    shown = ", ".join(names[:at_most])
    rest = len(names) - at_most
    return f"{shown} and {rest} more" if rest > 0 else shown


def duration(seconds: float | None) -> str:
    """Seconds in the units of a clock."""
    if seconds is None or not math.isfinite(seconds):
        return UNDEFINED
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def typographic(text: str) -> str:
    """The text with hyphens before digits turned into minus signs."""
    return re.sub(r"(?<![\w.\-–])-(?=\d)", "−", text)
