"""Response categories after RAPNO for paediatric low-grade glioma, by the product of diameters.

Fangusaro et al., Response assessment in paediatric low-grade glioma: recommendations from the
Response Assessment in Pediatric Neuro-Oncology (RAPNO) working group, Lancet Oncology 2020. The
thresholds are as secondary sources give them, which docs/measures.md names. Of the bidimensional
product on T2/FLAIR: complete response, gone; partial response, less by 50 % or more
than at baseline; minor response, by 25 to 50 %; progressive disease, more by 25 % or more than the
smallest product so far; stable disease, anything else.

    >>> [one.response for one in assess([TumourSize(1000.0), TumourSize(500.0), TumourSize(625.0)])]
    ['baseline', 'PR', 'PD']
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from plgg.data.result import Response

PARTIAL, MINOR, PROGRESSION = -50.0, -25.0, 25.0
# Days over which later scans must sustain a response to confirm it: 8 weeks.
CONFIRMED_DAYS = 56
# Smallest value of both diameters of a measurable lesion.
MEASURABLE_MM = 10.0
_RANK: dict[Response, int] = {"CR": 3, "PR": 2, "MR": 1, "SD": 0, "PD": -1}
# Products are known to a thousandth of a square millimetre.
_DIGITS = 4


@dataclass(frozen=True)
class TumourSize:
    """The size of the tumour in one scan.

    Attributes:
        product_mm2: Product of its diameters; 0 without tumour, None where it cannot be compared.
        is_measurable: Whether both diameters are 10 mm or more; irrelevant without tumour.
        days: Since the first scan; None where the dates are not known.
    """

    product_mm2: float | None
    is_measurable: bool = True
    days: int | None = None


@dataclass(frozen=True)
class Assessment:
    """The response category of one scan.

    Attributes:
        response: The category.
        baseline_percent: Change since the first scan; None where it is undefined.
        nadir_percent: Change since the smallest product before; None likewise.
        statement: Why this category.
        is_confirmed: Whether later scans confirm it; None for categories without confirmation, or
            where dates are not known.
        confirmation: The same in words; empty for categories without confirmation.
    """

    response: Response
    baseline_percent: float | None
    nadir_percent: float | None
    statement: str
    is_confirmed: bool | None = None
    confirmation: str = ""


def assess(sizes: Sequence[TumourSize]) -> list[Assessment]:
    """The category of each scan of one patient, the first of them the baseline.

    Args:
        sizes: In the order of their dates.
    """
    found = [_assessed(sizes, at) for at in range(len(sizes))]
    return [_with_confirmation(found, sizes, at) for at in range(len(sizes))]


def best_response(found: Sequence[Assessment], *, confirmed: bool = False) -> Response | None:
    """The best category of all scans but the baseline; None if none could be judged."""
    judged = [
        one.response
        for one in found
        if one.response in _RANK
        and (not confirmed or one.is_confirmed or not _asks_for_another(one.response))
    ]
    return max(judged, key=_RANK.__getitem__, default=None)


def percent(now: float, then: float) -> float | None:
    """Change in percent; None if the earlier value is 0."""
    return round(100.0 * (now - then) / then, _DIGITS) if then else None


def _assessed(sizes: Sequence[TumourSize], at: int) -> Assessment:
    baseline, now = sizes[0], sizes[at].product_mm2
    if at == 0:
        return Assessment("baseline", None, None, "The first scan, which the others are held to.")
    if baseline.product_mm2 is None or now is None:
        return _not_evaluable("measured in another plane than the others")
    if not baseline.product_mm2:
        return _not_evaluable("no tumour was found on the first scan")
    if not baseline.is_measurable:
        return _not_evaluable(
            f"on the first scan a diameter is below {MEASURABLE_MM:g} mm: it cannot be measured"
        )
    before = [size.product_mm2 for size in sizes[:at] if size.product_mm2 is not None]
    return _category(now, baseline.product_mm2, min(before))


def _not_evaluable(reason: str) -> Assessment:
    return Assessment("NE", None, None, f"Not evaluable: {reason}.")


def _category(now: float, baseline: float, nadir: float) -> Assessment:
    since_baseline, since_nadir = percent(now, baseline), percent(now, nadir)
    response: Response
    if not now:
        response, why = "CR", "no tumour was found"
    elif since_nadir is None:
        response, why = "PD", "there is tumour again where none was found before"
    elif since_nadir >= PROGRESSION:
        response, why = "PD", f"{since_nadir:+.1f} % since the smallest product before"
    else:
        response = _by_baseline(since_baseline or 0.0)
        why = f"{since_baseline:+.1f} % since the first scan"
        why += f", {since_nadir:+.1f} % since the smallest before" if nadir < baseline else ""
    return Assessment(response, since_baseline, since_nadir, f"{why[0].upper()}{why[1:]}.")


def _by_baseline(change: float) -> Response:
    if change <= PARTIAL:
        return "PR"
    return "MR" if change <= MINOR else "SD"


def _asks_for_another(response: Response) -> bool:
    return response in ("CR", "PR", "MR", "PD")


def _with_confirmation(
    found: Sequence[Assessment], sizes: Sequence[TumourSize], at: int
) -> Assessment:
    one = found[at]
    if not _asks_for_another(one.response):
        return one
    later = [n for n in range(at + 1, len(found)) if found[n].response in _RANK]
    judge = _progression if one.response == "PD" else _response
    is_confirmed, words = judge(found, sizes, at, later)
    return Assessment(
        one.response,
        one.baseline_percent,
        one.nadir_percent,
        one.statement,
        is_confirmed,
        words,
    )


def _progression(
    found: Sequence[Assessment], _: Sequence[TumourSize], __: int, later: Sequence[int]
) -> tuple[bool, str]:
    if not later:
        return False, "unconfirmed: one scan"
    if found[later[0]].response == "PD":
        return True, "confirmed by the next scan"
    return False, "not confirmed: the next scan does not show it"


def _response(
    found: Sequence[Assessment], sizes: Sequence[TumourSize], at: int, later: Sequence[int]
) -> tuple[bool | None, str]:
    """Sustained by every scan up to the first that is 8 weeks away or more."""
    if not later:
        return False, "unconfirmed: one scan"
    rank, began = _RANK[found[at].response], sizes[at].days
    sustained = 0
    for n in later:
        if _RANK[found[n].response] < rank:
            return False, "not confirmed: a later scan does not bear it out"
        days = sizes[n].days
        if began is None or days is None:
            return None, "borne out by the next scan; whether for 8 weeks is not known"
        sustained = days - began
        if sustained >= CONFIRMED_DAYS:
            return True, f"confirmed after {sustained} days"
    return False, f"unconfirmed: sustained for {sustained} days, and {CONFIRMED_DAYS} are wanted"
