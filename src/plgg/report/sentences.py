"""What the experiment found, in plain sentences with numbers from its records."""

from __future__ import annotations

from collections.abc import Sequence

from plgg.compare import ExperimentComparison
from plgg.report.experiment_records import Experiment
from plgg.report.gains import gains_told
from plgg.report.lookup import summary_value
from plgg.report.numbers import UNDEFINED, count, listed, number, reach, spread
from plgg.report.palette import arm_title

_FEW = 10


def summary(experiment: Experiment, comparison: ExperimentComparison | None) -> list[str]:
    """A paragraph for a reader who is no statistician."""
    if comparison is None:
        return ["Nothing is evaluated yet, so there is nothing to sum up."]
    told = [_who(experiment), _outlines(experiment, comparison)]
    told += gains_told(comparison.on("test"))
    told.append(_markers(experiment, comparison))
    return [sentence for sentence in told if sentence]


def _who(experiment: Experiment) -> str:
    patients = {c.patient_id for arm in experiment.arms for _, c in experiment.tested(arm)}
    who = count(len(patients), "patient")
    if experiment.n_splits == 1:
        return f"The models were tested on {who} whom they had not seen in training."
    return (
        f"In {experiment.n_splits} random splits of the cohort, {who} were tested at least once, "
        "always by models that had not seen them in training."
    )


def _outlines(experiment: Experiment, comparison: ExperimentComparison) -> str:
    told = [
        f"{dice_of(experiment, comparison, arm)} for the {arm_title(arm).lower()} model"
        for arm in comparison.arms
        if comparison.of(arm, "test").dice.mean is not None
    ]
    if not told:
        return ""
    return (
        f"The overlap of the outlined tumour with the truth (Dice; 1 is perfect, 0 is none) was on "
        f"average {_joined(told)}."
    )


def dice_of(experiment: Experiment, comparison: ExperimentComparison, arm: str) -> str:
    """Mean test Dice, of several splits with its spread, of one with its interval."""
    scores = comparison.of(arm, "test").dice
    if experiment.n_splits > 1 or scores.mean is None:
        return spread(scores.mean, scores.sd)
    return number(scores.mean) + _interval(experiment, arm, "segmentation", "dice")


def auc_of(experiment: Experiment, comparison: ExperimentComparison, arm: str) -> str:
    """Mean test AUC of the marker, likewise."""
    scores = comparison.of(arm, "test").marker_auc
    if experiment.n_splits > 1 or scores.mean is None:
        return spread(scores.mean, scores.sd)
    return number(scores.mean) + _interval(experiment, arm, "marker", "auc")


def _interval(experiment: Experiment, arm: str, *keys: str) -> str:
    """The interval of the only split, in brackets; blank where there is none."""
    found = next(experiment.tests(arm), None)
    if found is None:
        return ""
    told = reach(summary_value(found, *keys, "ci_low"), summary_value(found, *keys, "ci_high"))
    return "" if told == UNDEFINED else f" (95 % interval {told})"


def _markers(experiment: Experiment, comparison: ExperimentComparison) -> str:
    told = [
        f"an AUC of {auc} by the {arm_title(arm).lower()} model"
        for arm in experiment.marker_arms
        if (auc := auc_of(experiment, comparison, arm)) != UNDEFINED
    ]
    if not told:
        return ""
    return f"The genetic marker was ranked with {_joined(told)}; 0.5 is guessing, 1 is perfect."


def _joined(parts: Sequence[str]) -> str:
    *head, last = parts
    return f"{', '.join(head)} and {last}" if head else last


def is_synthetic(patients: Sequence[str]) -> bool:
    """Whether a cohort comes from `plgg phantom`, by the names that it gives its patients."""
    return bool(patients) and all(name.startswith("phantom-") for name in patients)


def warnings(experiment: Experiment, failed: Sequence[tuple[str, str]]) -> list[str]:
    """What went wrong or is missing and bears on the results.

    Args:
        experiment: Its records.
        failed: Case and reason of each scan that could not be preprocessed.
    """
    told = [
        f"Split {run.split + 1}, {run.arm}: the marker head has collapsed, it gives every patient "
        "the same answer. Its probabilities mean nothing."
        for run in experiment.runs
        if run.collapsed
    ]
    for run in experiment.runs:
        for part, found in run.evaluations.items():
            where = f"Split {run.split + 1}, {run.arm}, {part}"
            told += [
                f"{where}: {one.case_id} could not be scored: {one.reason}"
                for one in found.summary.failed
            ]
            if found.summary.missing:
                names = listed(found.summary.missing)
                told.append(f"{where}: no prediction of {names}.")
    told += _few(experiment)
    told += _uneven(experiment)
    told += [f"{case} could not be preprocessed and is in no split: {why}" for case, why in failed]
    return [*told, *experiment.notes]


def _few(experiment: Experiment) -> list[str]:
    """A caution where a test part is so small that resampling it shows too little spread."""
    sizes = [found.summary.n_patients for arm in experiment.arms for found in experiment.tests(arm)]
    if not sizes or min(sizes) >= _FEW:
        return []
    return [
        f"A test part holds only {count(min(sizes), 'patient')}: intervals within a split are "
        "rough and may be too narrow, and a perfect AUC of so few says little."
    ]


def _uneven(experiment: Experiment) -> list[str]:
    """A caution where the arms' means are of different splits, and so of different patients."""
    tested = {frozenset(r.split for r in experiment.of(arm) if r.test) for arm in experiment.arms}
    if len(tested - {frozenset()}) < 2:
        return []
    return [
        "Not every arm is tested on every split, so the arms' means are of different patients; "
        "the differences between arms are of the splits that both have."
    ]
