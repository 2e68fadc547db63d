"""What each arm gains over the baseline, in sentences that agree with each other.

Where there are several splits, the corrected test decides; where there are several arms, its p is
adjusted for their number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from plgg.evaluate.compare.records import Contrast, ExperimentComparison
from plgg.evaluate.compare.text import verdict
from plgg.evaluate.experiment_records import Experiment, summary_value
from plgg.report.drawing import arm_title
from plgg.report.numbers import UNDEFINED, count, listed, number, reach, signed, spread, typographic

_SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Gain:
    """One arm beside the baseline.

    Attributes:
        title: Which arms.
        verdict: Which is better, and whether that may be chance.
        needed: What it would take to find a gain that is hoped for; blank where unknown.
    """

    title: str
    verdict: str
    needed: str


def gain(contrast: Contrast) -> Gain:
    """A contrast in words."""
    needed = contrast.power.sentence if contrast.power else ""
    title = f"{arm_title(contrast.b)} − {arm_title(contrast.a).lower()}"
    return Gain(title, typographic(verdict(contrast)), typographic(needed))


def gains_told(contrasts: Sequence[Contrast]) -> list[str]:
    """What may be concluded, for a reader who is no statistician.

    One arm beside the baseline with its interval; of several which of them are shown to differ, as
    their numbers stand in the figure.
    """
    if len(contrasts) == 1:
        return [_difference(contrasts[0]), _concluded(contrasts[0])]
    if not contrasts:
        return []
    baseline = arm_title(contrasts[0].a).lower()
    shown = [c for c in contrasts if is_shown(c)]
    if not shown:
        return [
            f"None of the {len(contrasts)} other models is shown to be better or worse than the "
            f"{baseline} model."
        ]
    told = []
    for word, above in (("better", True), ("worse", False)):
        names = [arm_title(c.b).lower() for c in shown if (c.difference > 0) is above]
        if names:
            told.append(f"Shown to be {word} than the {baseline} model: {listed(names)}.")
    if len(shown) < len(contrasts):
        told.append("For the others that is not settled.")
    if contrasts[0].splits is None:
        told.append("One split cannot tell how much of that is chance in training.")
    return told


def _difference(contrast: Contrast) -> str:
    told = interval_of(contrast)
    interval = f" (95 % interval {told})" if told else ""
    return (
        f"{arm_title(contrast.b)} minus {arm_title(contrast.a).lower()} is "
        f"{signed(contrast.difference)}{interval}."
    )


def interval_of(contrast: Contrast) -> str:
    """The interval to go by: over splits that share patients the corrected one; may be blank."""
    found = contrast.splits.interval if contrast.splits else contrast.interval
    told = reach(found.low, found.high, with_sign=True)
    return "" if told == UNDEFINED else told


def _concluded(contrast: Contrast) -> str:
    if not is_shown(contrast):
        return "That does not settle which of them is better."
    better = contrast.b if contrast.difference > 0 else contrast.a
    if contrast.splits is None:
        return (
            f"For these patients and these two trained models {arm_title(better).lower()} is "
            "better; one split cannot tell how much of that is chance in training."
        )
    return f"The evidence favours the {arm_title(better).lower()} model."


def is_shown(contrast: Contrast) -> bool:
    """Whether a difference is hardly chance, by the p value that its verdict tells.

    Of one split its interval, which so few patients make too narrow, has to leave zero out as well.
    """
    if contrast.adjusted_p is None or contrast.adjusted_p >= _SIGNIFICANT:
        return False
    low, high = contrast.interval.low, contrast.interval.high
    if contrast.splits is not None:
        return True
    return low is not None and high is not None and (low > 0 or high < 0)


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
