"""The tables of an experiment's page."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from plgg.evaluate.compare.records import ExperimentComparison
from plgg.evaluate.compare.text import as_rows
from plgg.evaluate.evaluation import Evaluation
from plgg.evaluate.experiment_records import Experiment, finite, summary_value
from plgg.evaluate.records import CaseScores, Interval
from plgg.report.drawing import arm_title
from plgg.report.experiment.runs import RunRecord
from plgg.report.experiment.subgroups import TITLES, Group
from plgg.report.numbers import UNDEFINED, count, duration, number, reach, spread, typographic

PAPER_ORDER = ("validation", "test")
Rows = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Table:
    """A header and its rows.

    Attributes:
        header: A name for each column.
        rows: A cell for each column.
        words: Columns of text; the others are numbers.
        foot: A last row that sums up; empty for none.
        groups: Headings above the header with the number of columns each spans; empty for none.
    """

    header: tuple[str, ...]
    rows: Rows
    words: frozenset[int] = frozenset({0})
    foot: tuple[str, ...] = ()
    groups: tuple[tuple[str, int], ...] = ()


def table1(comparison: ExperimentComparison) -> Table:
    """The paper's Table 1: a row for each split, a column for each arm and part."""
    columns = [(arm, part) for arm in comparison.arms for part in PAPER_ORDER]
    scores = [comparison.of(arm, part).dice for arm, part in columns]
    return Table(
        header=("Split", *(part for _, part in columns)),
        rows=tuple(
            (str(split + 1), *(number(score.values[n]) for score in scores))
            for n, split in enumerate(comparison.splits)
        ),
        # The mean of one split is that split.
        foot=("Mean ± SD", *(spread(score.mean, score.sd) for score in scores))
        if len(comparison.splits) > 1
        else (),
        groups=(("", 1), *((arm_title(arm), len(PAPER_ORDER)) for arm in comparison.arms)),
    )


def all_statistics(comparison: ExperimentComparison) -> Table | None:
    """Every paired statistic that was made; None without a contrast."""
    rows = [tuple(map(typographic, row)) for row in as_rows(comparison)]
    return Table(rows[0], tuple(rows[1:])) if len(rows) > 1 else None


@dataclass(frozen=True)
class _Measure:
    label: str
    keys: tuple[str, ...]
    digits: int = 3
    ends: tuple[str, str] = ("ci_low", "ci_high")


_MEASURES = (
    _Measure("Dice (mean)", ("segmentation", "dice", "mean")),
    _Measure(
        "Dice (median)",
        ("segmentation", "dice", "median"),
        ends=("median_ci_low", "median_ci_high"),
    ),
    _Measure("Soft Dice (mean)", ("segmentation", "soft_dice", "mean")),
    _Measure("Surface Dice at 2 mm (mean)", ("segmentation", "surface_dice", "mean")),
    _Measure("HD95, mm (mean)", ("segmentation", "hd95_mm", "mean"), 1),
    _Measure("Volume error, mL (mean)", ("segmentation", "volume_error_ml", "mean"), 1),
    _Measure("True volume inside its interval, share", ("volumes", "coverage", "value")),
    _Measure(
        "Lesions found, share",
        ("lesions", "sensitivity"),
        ends=("sensitivity_ci_low", "sensitivity_ci_high"),
    ),
    _Measure(
        "Found lesions that are real, share",
        ("lesions", "precision"),
        ends=("precision_ci_low", "precision_ci_high"),
    ),
    _Measure("Marker AUC (macro)", ("marker", "auc", "value")),
    _Measure("Marker balanced accuracy", ("marker", "balanced_accuracy", "value")),
    _Measure("Marker F1 (macro)", ("marker", "f1", "value")),
    _Measure("Marker Brier score", ("marker", "brier", "value")),
    _Measure("Marker calibration error", ("marker", "reliability", "ece", "value")),
)


def measures(columns: Sequence[tuple[str, Sequence[Evaluation]]]) -> Table:
    """All measures of evaluations; one of them with its interval, of several mean ± SD.

    Args:
        columns: Name and evaluations of each column.
    """
    rows = [
        (measure.label, *(_measured(list(found), measure) for _, found in columns))
        for measure in _MEASURES
    ]
    known = tuple(row for row in rows if any(cell != UNDEFINED for cell in row[1:]))
    return Table(("On test", *(name for name, _ in columns)), known)


def _measured(found: list[Evaluation], measure: _Measure) -> str:
    known = [v for e in found if (v := summary_value(e, *measure.keys)) is not None]
    if not known:
        return UNDEFINED
    mean = number(statistics.fmean(known), measure.digits)
    if len(found) > 1:
        sd = statistics.stdev(known) if len(known) > 1 else None
        return mean if sd is None else f"{mean} ± {number(sd, measure.digits)}"
    low, high = (summary_value(found[0], *measure.keys[:-1], end) for end in measure.ends)
    told = reach(low, high)
    return mean if told == UNDEFINED else f"{mean} ({_shortened(low, high, measure.digits)})"


def _shortened(low: float | None, high: float | None, digits: int) -> str:
    return f"{number(low, digits)} to {number(high, digits)}"


@dataclass(frozen=True)
class _Column:
    header: str
    cell: Callable[[CaseScores], str]
    is_words: bool = False


_KNOWN = (
    _Column("Patient", lambda c: c.patient_id, is_words=True),
    _Column("Site", lambda c: c.site or "", is_words=True),
    _Column("Age", lambda c: _blank(number(c.age_years, 1))),
    _Column("Sex", lambda c: c.sex or "", is_words=True),
    _Column("Marker", lambda c: c.marker or "", is_words=True),
    _Column("mL", lambda c: _blank(number(c.volume_ml, 1))),
)
_FOUND = (
    _Column("Dice", lambda c: _blank(number(c.dice))),
    _Column("HD95, mm", lambda c: _blank(number(c.hd95_mm, 1))),
    _Column("mL", lambda c: _blank(number(c.predicted_volume_ml, 1))),
)
_NAMED = (
    _Column("Named", lambda c: c.predicted_marker or "", is_words=True),
    _Column("p", lambda c: _blank(number(_certainty(c), 2))),
)


def patients(experiment: Experiment) -> Table | None:
    """Every tested scan of every split with what each arm found; None before any is tested."""
    cases = {
        (run.split, case.case_id): case
        for arm in experiment.arms
        for run, case in experiment.tested(arm)
    }
    if not cases:
        return None
    known = [column for column in _KNOWN if _says_something(column, cases.values())]
    by_arm = {
        arm: {(r.split, c.case_id): c for r, c in experiment.tested(arm)} for arm in experiment.arms
    }
    found = [(arm, c) for arm in experiment.arms for c in _columns(arm, experiment)]
    rows = []
    for (split, case_id), case in sorted(cases.items(), key=lambda item: item[0]):
        rows.append(
            (
                case_id,
                str(split + 1),
                *(column.cell(case) for column in known),
                *(_cell(column, by_arm[arm].get((split, case_id))) for arm, column in found),
            )
        )
    every = [_SCAN, _SPLIT, *known, *(column for _, column in found)]
    words = frozenset(n for n, column in enumerate(every) if column.is_words)
    spans = ((arm_title(arm), len(_columns(arm, experiment))) for arm in experiment.arms)
    groups = (("Scan and truth", 2 + len(known)), *spans)
    return Table(tuple(c.header for c in every), tuple(rows), words, groups=groups)


_SCAN = _Column("Scan", lambda c: c.case_id, is_words=True)
_SPLIT = _Column("Split", lambda _: "")


def _columns(arm: str, experiment: Experiment) -> tuple[_Column, ...]:
    return (*_FOUND, *_NAMED) if arm in experiment.marker_arms else _FOUND


def _cell(column: _Column, case: CaseScores | None) -> str:
    return "" if case is None else column.cell(case)


def _says_something(column: _Column, cases: Iterable[CaseScores]) -> bool:
    """Whether a column has an entry; patients are told apart only where scans have other names."""
    if column.header == "Patient":
        return any(case.patient_id != case.case_id for case in cases)
    return any(column.cell(case) for case in cases)


def _certainty(case: CaseScores) -> float | None:
    return max(case.probabilities.values(), default=None)


def _blank(text: str) -> str:
    return "" if text == UNDEFINED else text


def groups_table(groups: Sequence[Group]) -> Table | None:
    """A row for each group, a column for each arm; None without a group."""
    if not groups:
        return None
    arms = tuple(groups[0].dice)
    rows = tuple(
        (
            TITLES.get(group.trait, group.trait),
            group.level,
            str(group.n_patients),
            *(_told(group.dice[arm]) for arm in arms),
        )
        for group in groups
    )
    header = ("Group", "Level", "Patients", *(arm_title(arm) for arm in arms))
    return Table(header, rows, words=frozenset({0, 1}))


def _told(dice: Interval) -> str:
    told = reach(dice.ci_low, dice.ci_high)
    return number(dice.value) if told == UNDEFINED else f"{number(dice.value)} ({told})"


_HEADER = ("Split", "Arm", "Point", "State", "Epochs", "Best at", "Time", "Waited", "Machine")
_POINT = _HEADER.index("Point")
_WORDS = {"Arm", "Point", "State", "Machine"}


def runs_table(runs: Sequence[RunRecord]) -> Table:
    """Runs by split and arm, with all points of a grid; those that are not there are named."""
    shown = [n for n in range(len(_HEADER)) if n != _POINT or any(run.point for run in runs)]
    return Table(
        tuple(_HEADER[n] for n in shown),
        tuple(tuple(_cells(run)[n] for n in shown) for run in runs),
        words=frozenset(place for place, n in enumerate(shown) if _HEADER[n] in _WORDS),
    )


def _cells(run: RunRecord) -> tuple[str, ...]:
    best = UNDEFINED if run.best_epoch is None else f"{run.best_epoch} ({number(run.best_dice)})"
    return (
        str(run.split + 1),
        arm_title(run.arm),
        f"{run.point} (chosen)" if run.chosen else run.point,
        f"failed: {run.error}" if run.state == "failed" else run.state,
        str(run.n_epochs),
        best,
        duration(run.seconds) if run.n_epochs else UNDEFINED,
        UNDEFINED if run.waited is None else f"{100 * run.waited:.1f} %",
        _machine(run),
    )


def _machine(run: RunRecord) -> str:
    """The card where there is one, else the processor with its cores."""
    card = next((str(run.machine[k]) for k in ("gpu", "device") if run.machine.get(k)), "")
    if card:
        return card
    processor, cores = run.machine.get("processor"), finite(run.machine.get("cores"))
    parts = [str(processor)] if processor else []
    parts += [count(int(cores), "core")] if cores else []
    return ", ".join(parts) or UNDEFINED
