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


def measures_of_arms(columns: Sequence[tuple[str, Sequence[Sequence[Evaluation]]]]) -> Table:
    """The main measures of evaluations: of one split with the interval, of several mean ± SD.

    Args:
        columns: Name of each column, and its evaluations: of each split those of its seeds, which
            are averaged.
    """
    found = [[[_table_measures(one) for one in seeds] for seeds in of] for _, of in columns]
    labels = dict.fromkeys(label for of in found for seeds in of for one in seeds for label in one)
    rows = tuple(
        (
            label,
            *(_cell([[one[label] for one in s if label in one] for s in of]) for of in found),
        )
        for label in labels
    )
    return Table(("On test", *(name for name, _ in columns)), rows)


def _table_measures(one: Evaluation) -> dict[str, Measure]:
    return {m.label: m for m in measures(one.summary) if m.label.startswith(_SHOWN)}


def _cell(splits: Sequence[Sequence[Measure]]) -> str:
    """Of one evaluation the number with its interval, of several the mean ± SD over splits."""
    known = [[m.found.value for m in seeds if m.found.value is not None] for seeds in splits]
    values = [statistics.fmean(seeds) for seeds in known if seeds]
    if not values:
        return UNDEFINED
    first = next(m for seeds in splits for m in seeds)
    if len(splits) == 1 and len(splits[0]) == 1:
        return first.cell
    sd = statistics.stdev(values) if len(values) > 1 else None
    return spread(statistics.fmean(values), sd, first.digits)


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
    Column("Probability", lambda c: blank(number(max(c.probabilities.values(), default=None), 2))),
)


def patients(experiment: Experiment) -> Table | None:
    """Every tested scan of every split with what each arm predicts; None before any is tested.

    With several seeds, a row for each of them.
    """
    by_arm = {
        arm: {(r.split, r.seed, c.case_id): c for r, c in experiment.tested(arm)}
        for arm in experiment.arms
    }
    several = experiment.n_seeds > 1
    cases = {key: case for of_arm in by_arm.values() for key, case in of_arm.items()}
    if not cases:
        return None
    known = [column for column in _KNOWN if _says_something(column, cases.values())]
    columns = {arm: _columns(arm, experiment) for arm in experiment.arms}
    rows = tuple(
        (
            case.case_id,
            str(split + 1),
            *([str(experiment.record.seed + seed)] if several else []),
            *(column.cell(case) for column in known),
            *(
                column.cell(found) if (found := by_arm[arm].get((split, seed, case_id))) else ""
                for arm in experiment.arms
                for column in columns[arm]
            ),
        )
        for (split, seed, case_id), case in sorted(cases.items(), key=lambda item: item[0])
    )
    every = [*known, *(column for arm in experiment.arms for column in columns[arm])]
    first = ("Scan", "Split", *(["Seed"] if several else []))
    header = (*first, *(column.header for column in every))
    words = {n for n, column in enumerate(every, start=len(first)) if column.is_words}
    spans = ((arm_title(arm), len(columns[arm])) for arm in experiment.arms)
    truth = ("Scan and truth", len(first) + len(known))
    return Table(header, rows, frozenset({0, *words}), groups=(truth, *spans))


def _columns(arm: str, experiment: Experiment) -> tuple[Column[CaseScores], ...]:
    return (*_OUTLINED, *_PREDICTED) if arm in experiment.marker_arms else _OUTLINED


def _says_something(column: Column[CaseScores], cases: Iterable[CaseScores]) -> bool:
    """Whether a column has an entry; for patients, whether any scan has another name than its."""
    if column.header == "Patient":
        return any(case.patient_id != case.case_id for case in cases)
    return any(column.cell(case) for case in cases)
