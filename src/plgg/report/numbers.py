"""Numbers for readers: fixed decimals, true minus signs, a dash for the unknown.

>>> number(-0.12345), interval(0.1, 0.25, digits=2)
('−0.123', '0.10 to 0.25')
"""

from __future__ import annotations

import math
import re

from plgg.core.estimate import Estimate

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


def interval(
    low: float | None, high: float | None, digits: int = 3, *, with_sign: bool = False
) -> str:
    """Both ends of an interval; a dash where one is unknown."""
    if low is None or high is None:
        return UNDEFINED
    form = signed if with_sign else number
    return f"{form(low, digits)} to {form(high, digits)}"


def ends(found: Estimate, digits: int = 3, *, with_sign: bool = False) -> str:
    """The interval of an estimate; a dash where it has none."""
    return interval(found.low, found.high, digits, with_sign=with_sign)


def estimate(found: Estimate | None, digits: int = 3) -> str:
    """`0.800 (0.700 to 0.900)`; the number alone where it has no interval."""
    if found is None:
        return UNDEFINED
    within = "" if found.ends is None else f" ({ends(found, digits)})"
    return number(found.value, digits) + within


def spread(mean: float | None, sd: float | None, digits: int = 3) -> str:
    """Mean ± standard deviation, or the mean alone."""
    return number(mean, digits) + ("" if sd is None else f" ± {number(sd, digits)}")


def p_value(p: float | None) -> str:
    """As `p = 0.230`; a dash where there is none."""
    if p is None:
        return UNDEFINED
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def blank(text: str) -> str:
    """The text, or an empty string in place of a dash."""
    return "" if text == UNDEFINED else text


def count(n: int, noun: str) -> str:
    """`1 patient`, `2 patients`."""
    return f"{n} {noun}{'' if n == 1 else 's'}"


def listed(names: list[str] | tuple[str, ...], *, at_most: int = 12) -> str:
    """Names separated by commas; of many the first, and the number of the others."""
    first = ", ".join(names[:at_most])
    rest = len(names) - at_most
    return f"{first} and {rest} more" if rest > 0 else first


def duration(seconds: float | None) -> str:
    """Seconds as hours and minutes, or as minutes and seconds."""
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
