"""`next_case`: choose the next case to review by a strategy of active learning.

    next_case(cases.all(), "entropy")

entropy: the least certain outline (uncertainty sampling, Lewis and Gale 1994). agreement: where the
members of the ensemble agree least (query by committee, Seung et al. 1992). out-of-distribution:
the scan least like the training scans. random: the baseline. Cases without a score come last.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from plgg.core.errors import ConfigError
from plgg.serve.cases import Case

Score = Callable[[Case], float | None]


@dataclass(frozen=True)
class NextCase:
    """The case to review next.

    Attributes:
        case: Its name; None where no case is left.
        strategy: Strategy that chose it.
        score: Larger is more informative; None where the strategy has no score of it.
        left: How many cases are not yet corrected, this one included.
    """

    case: str | None
    strategy: str
    score: float | None
    left: int


def _less(value: float | None) -> float | None:
    return None if value is None else 1.0 - value


STRATEGIES: dict[str, Score] = {
    "entropy": lambda case: _less(case.certainty),
    "agreement": lambda case: _less(case.agreement),
    "out-of-distribution": lambda case: case.out_of_distribution,
    "random": lambda case: random.random(),  # noqa: ARG005, S311 - no secret
}


def next_case(
    cases: Iterable[Case], strategy: str = "entropy", *, but: Collection[str] = ()
) -> NextCase:
    """Choose the next case to review, of those that are predicted and not yet corrected.

    Args:
        cases: All.
        strategy: One of `STRATEGIES`.
        but: Cases that were skipped; they are chosen only when no others are left.

    Raises:
        ConfigError: If there is no such strategy.
    """
    if strategy not in STRATEGIES:
        raise ConfigError("there is no such strategy", remedy=f"Choose of {', '.join(STRATEGIES)}.")
    score = STRATEGIES[strategy]
    left = [case for case in cases if case.state == "done" and not case.edited]
    fresh = [case for case in left if case.id not in but] or left
    if not fresh:
        return NextCase(None, strategy, None, 0)
    scored = [(score(case), case.id) for case in fresh]
    value, name = min(scored, key=lambda one: (one[0] is None, -(one[0] or 0.0), one[1]))
    return NextCase(name, strategy, value, len(left))
