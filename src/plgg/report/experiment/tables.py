"""The tables of an experiment's page: all measures, and every tested scan."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

from plgg.evaluate.evaluation import Evaluation
from plgg.evaluate.experiment_records import Experiment
from plgg.evaluate.records import CaseScores
from plgg.report.measures import Measure, measures
from plgg.report.numbers import UNDEFINED, blank, number, spread
from plgg.report.parts import arm_title
from plgg.report.table import Column, Table

# Of the measures of an evaluation, by the beginnings of their labels, those that arms have in
# common; agreement and abstention stand on the page of each evaluation.
_SHOWN = (
    "Dice, mean",
    "Dice, median",
    "Soft Dice",
    "Surface Dice",
    "HD95, mm, mean",
    "Volume error, mL, mean",
    "Coverage",
    "Lesion",
    "Marker AUC (macro)",
    "Marker balanced accuracy",
    "Marker F1",
    "Marker Brier",
    "Marker calibration",
)


def measures_of_arms(columns: Sequence[tuple[str, Sequence[Evaluation]]]) -> Table:
    """All measures of evaluations; one of them with its interval, of several mean ± SD.

    Args:
        columns: Name and evaluations of each column.
    """
    found = [
        [{m.label: m for m in measures(one.summary) if m.label.startswith(_SHOWN)} for one in of]
        for _, of in columns
    ]
    labels = dict.fromkeys(label for of in found for one in of for label in one)
    rows = tuple(
        (label, *(_cell([one[label] for one in of if label in one], len(of)) for of in found))
        for label in labels
    )
    return Table(("On test", *(name for name, _ in columns)), rows)


def _cell(known: Sequence[Measure], n: int) -> str:
    """Of one evaluation the number with its interval, of n the mean and standard deviation."""
    values = [m.found.value for m in known if m.found.value is not None]
    if not values:
        return UNDEFINED
    if n == 1:
        return known[0].cell
    sd = statistics.stdev(values) if len(values) > 1 else None
    return spread(statistics.fmean(values), sd, known[0].digits)


_KNOWN: tuple[Column[CaseScores], ...] = (
    Column("Patient", lambda c: c.patient_id, is_words=True),
    Column("Site", lambda c: c.site or "", is_words=True),
    Column("Age", lambda c: blank(number(c.age_years, 1))),
    Column("Sex", lambda c: c.sex or "", is_words=True),
    Column("Marker", lambda c: c.marker or "", is_words=True),
    Column("mL", lambda c: blank(number(c.volume_ml, 1))),
)
_OUTLINED: tuple[Column[CaseScores], ...] = (
    Column("Dice", lambda c: blank(number(c.dice))),
    Column("HD95, mm", lambda c: blank(number(c.hd95_mm, 1))),
    Column("mL", lambda c: blank(number(c.predicted_volume_ml, 1))),
)
_PREDICTED: tuple[Column[CaseScores], ...] = (
    Column("Predicted", lambda c: c.predicted_marker or "", is_words=True),
    Column("p", lambda c: blank(number(max(c.probabilities.values(), default=None), 2))),
)


def patients(experiment: Experiment) -> Table | None:
    """Every tested scan of every split with what each arm predicts; None before any is tested."""
    by_arm = {
        arm: {(r.split, c.case_id): c for r, c in experiment.tested(arm)} for arm in experiment.arms
    }
    cases = {key: case for of_arm in by_arm.values() for key, case in of_arm.items()}
    if not cases:
        return None
    known = [column for column in _KNOWN if _says_something(column, cases.values())]
    columns = {arm: _columns(arm, experiment) for arm in experiment.arms}
    rows = tuple(
        (
            case.case_id,
            str(split + 1),
            *(column.cell(case) for column in known),
            *(
                column.cell(found) if (found := by_arm[arm].get((split, case_id))) else ""
                for arm in experiment.arms
                for column in columns[arm]
            ),
        )
        for (split, case_id), case in sorted(cases.items(), key=lambda item: item[0])
    )
    every = [*known, *(column for arm in experiment.arms for column in columns[arm])]
    header = ("Scan", "Split", *(column.header for column in every))
    words = frozenset({0, *(n for n, column in enumerate(every, start=2) if column.is_words)})
    spans = ((arm_title(arm), len(columns[arm])) for arm in experiment.arms)
    return Table(header, rows, words, groups=(("Scan and truth", 2 + len(known)), *spans))


def _columns(arm: str, experiment: Experiment) -> tuple[Column[CaseScores], ...]:
    return (*_OUTLINED, *_PREDICTED) if arm in experiment.marker_arms else _OUTLINED


def _says_something(column: Column[CaseScores], cases: Iterable[CaseScores]) -> bool:
    """Whether a column has an entry; patients are told apart only where scans have other names."""
    if column.header == "Patient":
        return any(case.patient_id != case.case_id for case in cases)
    return any(column.cell(case) for case in cases)
