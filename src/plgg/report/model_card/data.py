"""The card's sections on the patients: counts only, never a name."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence

from plgg.evaluate import CaseScores
from plgg.io.markdown import table
from plgg.report.model_card.records import PARTS, Case, Facts
from plgg.report.numbers import number
from plgg.report.sentences import is_synthetic

ADULT_YEARS = 18
_UNKNOWN = "unknown"


def data(facts: Facts) -> str:
    """Who the model was trained, chosen and tested on."""
    if not facts.cases:
        return "Who the patients were is not on record."
    parts = [part for part in PARTS if facts.parts.get(part)]
    columns = [facts.parts[part] for part in parts] + [facts.cases]
    rows: list[tuple[str, ...]] = [
        ("Patients", *(str(len({case.patient_id for case in cases})) for cases in columns)),
        ("Scans", *(str(len(cases)) for cases in columns)),
        ("Scans with an outline by hand", *(str(sum(map(_outlined, c))) for c in columns)),
        ("Age, median (range), years", *(_ages(cases) for cases in columns)),
        *_counted("Sex", [[case.sex for case in cases] for cases in columns]),
        *_counted("Marker", [[case.marker for case in cases] for cases in columns]),
        *_counted("Site", [[case.site for case in cases] for cases in columns]),
    ]
    told = [table([("", *parts, "all"), *rows]), *population(facts)]
    if not facts.is_whole:
        told.append(
            "The store that the model was trained on is no longer at hand or was changed: these "
            "are only the scans that were scored afterwards."
        )
    return "\n\n".join(told)


def population(facts: Facts) -> list[str]:
    """For whom the patients stand, in whole sentences."""
    if is_synthetic([case.patient_id for case in facts.cases]):
        return [
            "**The patients are synthetic.** The model shows that the software works; it has "
            "learnt nothing of real tumours."
        ]
    ages = _known_ages(facts.cases)
    if not ages:
        return ["No patient's age is known."]
    if min(ages) >= ADULT_YEARS:
        return [
            f"**All patients of known age are adults, from {min(ages):.0f} years.** Nothing here "
            "is a result on children."
        ]
    children = sum(age < ADULT_YEARS for age in ages)
    return [f"{children} of the {len(ages)} scans of known age are of children under 18 years."]


def _outlined(case: Case) -> bool:
    return case.dice is not None if isinstance(case, CaseScores) else case.has_mask


def _ages(cases: Sequence[Case]) -> str:
    ages = _known_ages(cases)
    if not ages:
        return _UNKNOWN
    return (
        f"{number(statistics.median(ages), 0)} ({number(min(ages), 0)} to {number(max(ages), 0)})"
    )


def _known_ages(cases: Iterable[Case]) -> list[float]:
    return [case.age_years for case in cases if case.age_years is not None]


def _counted(label: str, values: Sequence[Sequence[str | None]]) -> list[tuple[str, ...]]:
    """A row for each value that occurs; one of `unknown` where some are."""
    counts = [Counter(value or _UNKNOWN for value in found) for found in values]
    names = sorted({name for found in counts for name in found}, key=lambda n: (n == _UNKNOWN, n))
    return [(f"{label}: {name}", *(str(found[name]) for found in counts)) for name in names]
