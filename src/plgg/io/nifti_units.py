"""The unit of length of a NIfTI header, read as tolerantly as other readers do."""

from __future__ import annotations

_UNIT = 7
_TIME = (0, 8, 16, 24, 32, 40, 48)
_NAMES = {0: "unknown", 1: "meter", 2: "mm", 3: "micron"}
_IN_MM = {"meter": 1000.0, "micron": 0.001}


def unit_of_length(xyzt_units: int) -> tuple[str, str | None]:
    """The unit that a header's byte names, and what is wrong with the byte.

    Args:
        xyzt_units: The byte as it is; its lowest three bits are the unit of length.

    Returns:
        `meter`, `mm`, `micron` or `unknown`; a doubt if the byte is none of the standard's.
    """
    name = _NAMES.get(xyzt_units & _UNIT)
    sound = name is not None and xyzt_units - (xyzt_units & _UNIT) in _TIME
    taken = name or "mm"
    if sound:
        return taken, None
    read = "mm" if taken == "unknown" else taken
    return taken, f"its unit (xyzt_units {xyzt_units}) is none of the standard's: read as {read}"


def in_mm(unit: str) -> float:
    """Millimetres of one of a unit; an unknown one is taken as mm."""
    return _IN_MM.get(unit, 1.0)
