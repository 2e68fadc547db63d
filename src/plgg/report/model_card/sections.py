"""The card's sections in numbers: patients, measures, subgroups, calibration."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from plgg.core.markdown import escaped, table
from plgg.data.calibration import Calibration, MarkerRule, MaskRule
from plgg.evaluate.records import CaseScores, Subgroup, Summary
from plgg.report.evaluation import sentences
from plgg.report.evaluation.tables import between, measures
from plgg.report.experiment.sentences import is_synthetic
from plgg.report.model_card.records import PARTS, Case, Facts
from plgg.report.model_card.records import facts as listed_facts
from plgg.report.numbers import UNDEFINED, count, number

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


SCORED = ("validation", "test")


def results(facts: Facts) -> str:
    """All measures, by part, each with its 95 % interval over patients."""
    parts = [part for part in SCORED if part in facts.evaluations]
    if not parts:
        return "The model has not been evaluated."
    columns = {
        part: {m.label: m.told for m in measures(facts.evaluations[part].summary)} for part in parts
    }
    labels = dict.fromkeys(label for found in columns.values() for label in found)
    rows = [(label, *(columns[p].get(label, UNDEFINED) for p in parts)) for label in labels]
    counted = [f"{p}, {facts.evaluations[p].summary.n_patients} patients" for p in parts]
    told = [
        table([("Value (95 % interval)", *counted), *rows]),
        f"{'Checkpoint and calibration were' if facts.calibration else 'The checkpoint was'} "
        "chosen on the validation patients, so their numbers are too good; the test patients chose "
        "nothing.",
    ]
    for part in parts:
        told += [escaped(f"On {part}: {said}") for said in _said(facts.evaluations[part].summary)]
    return "\n\n".join(told)


def _said(summary: Summary) -> Iterator[str]:
    """Volumes and abstention in words; and what was not predicted."""
    yield from filter(None, (sentences.volumes(summary), sentences.markers(summary)))
    if summary.failed:
        n = len(summary.failed)
        are = "is" if n == 1 else "are"
        yield f"{count(n, 'scan')} could not be scored and {are} in no number."
    if summary.missing:
        n = len(summary.missing)
        yield f"{count(n, 'scan')} without a prediction {'is' if n == 1 else 'are'} in no number."


def subgroups(facts: Facts) -> str:
    """Dice by subgroup of the test patients, or of validation where there is no test."""
    part = next((p for p in reversed(SCORED) if p in facts.evaluations), None)
    found = facts.evaluations[part].summary.subgroups if part else ()
    if not found:
        return "Nothing is known that would tell the scans apart."
    rows = [(f"{g.group}: {g.level}", str(g.n_patients), *_scores(g)) for g in found]
    return "\n\n".join(
        (
            f"Means (95 % interval) of the {part} patients; of fewer than three only their number. "
            "Groups this small differ by chance alone.",
            table([("Subgroup", "patients", "Dice", "marker named rightly"), *rows]),
        )
    )


def _scores(group: Subgroup) -> tuple[str, str]:
    dice, named = (_mean(group, name) for name in ("dice", "marker_named_rightly"))
    return dice, named


def _mean(group: Subgroup, metric: str) -> str:
    found = group.metrics.get(metric)
    if found is None:
        return UNDEFINED
    reach = between(found.ci_low, found.ci_high, 2)
    return number(found.mean, 2) + ("" if reach == UNDEFINED else f" ({reach})")


def calibration(facts: Facts) -> str:
    """What was chosen on the validation patients."""
    found = facts.calibration
    if found is None:
        return (
            "The run has no calibration: probabilities are those of the network, the mask is cut "
            "at the configured threshold, no answer is withheld, and volumes have no interval."
        )
    told = [listed_facts(_rules(found))]
    if found.model_sha256 != facts.checkpoint.get("sha256"):
        told.append("**This calibration was made for other weights than the best checkpoint's.**")
    return "\n\n".join(told)


def _rules(found: Calibration) -> Iterator[tuple[str, str]]:
    yield "Mask", _mask(found.mask)
    if found.volume:
        factor = math.exp(found.volume.log_ratio)
        yield (
            "Volume interval",
            f"from the volume ÷ {number(factor, 2)} to the volume × {number(factor, 2)}, to hold "
            f"the true volume with a chance of {found.volume.level:.0%} "
            f"({found.volume.n} validation scans)",
        )
    if found.marker:
        yield "Marker probabilities", _probabilities(found.marker)
        yield "Abstention", _abstention(found.marker)
    if found.clinical:
        inputs = ", ".join(name.replace("_", " ") for name in found.clinical.inputs)
        yield (
            "Clinical data alone",
            f"a logistic regression on {inputs}, of {found.clinical.n} training scans, stands "
            "beside the network's answer for comparison",
        )
    if found.familiarity:
        n = len(found.familiarity.references)
        yield "Unlike scans", f"a scan is compared with {n} training scans as the network sees them"


def _mask(rule: MaskRule) -> str:
    return (
        f"tumour from a probability of {number(rule.threshold, 2)}; parts below "
        f"{number(rule.smallest_ml, 2)} mL are removed. Mean Dice of {rule.n} validation scans "
        f"{number(rule.dice)}, against {number(rule.plain_dice)} at 0.5 with all parts"
    )


def _probabilities(rule: MarkerRule) -> str:
    return (
        f"temperature {number(rule.temperature, 2)}, fitted on {rule.n} validation scans; on these "
        f"the expected calibration error went from {number(rule.ece_before)} to "
        f"{number(rule.ece_after)}, the negative log likelihood from {number(rule.nll_before)} to "
        f"{number(rule.nll_after)}"
    )


def _abstention(rule: MarkerRule) -> str:
    target = f"{rule.target_risk:.0%} of the answers wrong"
    if rule.answer_from is None:
        return f"no threshold kept to {target} on validation: every answer is withheld"
    return (
        f"below a probability of {number(rule.answer_from, 2)} the answer is withheld, to have at "
        f"most {target}; on validation {rule.coverage:.0%} of the scans got an answer, of which "
        f"{number(rule.risk, 2)} were wrong"
    )
