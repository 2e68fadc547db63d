"""Sentences on the gain of each arm over the baseline, consistent with each other.

With several splits the corrected t test decides; with several arms its p value is adjusted for
their number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from plgg.core.estimate import Estimate
from plgg.evaluate.compare.experiment_records import ExperimentComparison
from plgg.evaluate.compare.records import Contrast
from plgg.evaluate.experiment_records import Experiment, Run
from plgg.report.comparison import SIGNIFICANT, verdict
from plgg.report.numbers import (
    UNDEFINED,
    blank,
    count,
    ends,
    listed,
    number,
    signed,
    spread,
    typographic,
)
from plgg.report.parts import GREY, Tile, arm_colour, arm_title, estimate_tile

_FEW = 10


@dataclass(frozen=True)
class Gain:
    """Texts on one arm compared with the baseline.

    Attributes:
        title: Which arms.
        verdict: Which is better, and whether that may be chance.
        needed: Number of splits or patients to detect a target gain; blank where unknown.
    """

    title: str
    verdict: str
    needed: str


def gain(contrast: Contrast) -> Gain:
    """A contrast in words."""
    needed = contrast.power.sentence if contrast.power else ""
    title = f"{arm_title(contrast.b)} − {arm_title(contrast.a).lower()}"
    return Gain(title, typographic(verdict(contrast)), typographic(needed))


def gain_tile(contrast: Contrast, patients: str = "") -> Tile:
    """A tile with the difference in Dice and the interval that decides."""
    within = interval_of(contrast)
    label = f"Δ Dice, {arm_title(contrast.b).lower()} − {arm_title(contrast.a).lower()}{patients}"
    note = f"95 % interval {within}" if within else ""
    return Tile(label, signed(contrast.difference), note, GREY)


def gain_sentences(contrasts: Sequence[Contrast], *, n_seeds: int = 1) -> list[str]:
    """Conclusions for readers without statistics.

    With one arm, its difference from the baseline with the interval. With several, only which of
    them differ significantly, since the figure shows the numbers.
    """
    if len(contrasts) == 1:
        return [_difference(contrasts[0]), _conclusion(contrasts[0], n_seeds)]
    if not contrasts:
        return []
    baseline = arm_title(contrasts[0].a).lower()
    significant = [c for c in contrasts if is_significant(c)]
    if not significant:
        return [
            f"None of the {len(contrasts)} other models is shown to be better or worse than the "
            f"{baseline} model."
        ]
    sentences = []
    for word, above in (("better", True), ("worse", False)):
        names = [arm_title(c.b).lower() for c in significant if (c.difference > 0) is above]
        if names:
            sentences.append(f"Shown to be {word} than the {baseline} model: {listed(names)}.")
    if len(significant) < len(contrasts):
        sentences.append("For the others that is not settled.")
    if contrasts[0].splits is None:
        sentences.append(
            f"One split cannot tell how much of that is {_unmeasured_chance(n_seeds)}."
        )
    return sentences


def _difference(contrast: Contrast) -> str:
    within = interval_of(contrast)
    interval = f" (95 % interval {within})" if within else ""
    return (
        f"{arm_title(contrast.b)} minus {arm_title(contrast.a).lower()} is "
        f"{signed(contrast.difference)}{interval}."
    )


def interval_of(contrast: Contrast) -> str:
    """The interval that decides: with several splits the corrected one; may be blank."""
    found = contrast.splits.interval if contrast.splits else contrast.interval
    return blank(ends(found, with_sign=True))


def _unmeasured_chance(n_seeds: int) -> str:
    """The source of variation that one split does not measure; seeds measure that of training."""
    return "chance in training" if n_seeds == 1 else "the choice of the training patients"


def _conclusion(contrast: Contrast, n_seeds: int) -> str:
    if not is_significant(contrast):
        return "That does not settle which of them is better."
    better = contrast.b if contrast.difference > 0 else contrast.a
    if contrast.splits is None:
        return (
            f"For these patients and these two trained models {arm_title(better).lower()} is "
            f"better; one split cannot tell how much of that is {_unmeasured_chance(n_seeds)}."
        )
    return f"The evidence favours the {arm_title(better).lower()} model."


def is_significant(contrast: Contrast) -> bool:
    """Whether a difference is significant by its adjusted p value.

    With one split the interval, which few patients make too narrow, must also exclude zero.
    """
    if contrast.adjusted_p is None or contrast.adjusted_p >= SIGNIFICANT:
        return False
    if contrast.splits is not None:
        return True
    within = contrast.interval.ends
    return within is not None and (within[0] > 0 or within[1] < 0)


def tiles(experiment: Experiment, comparison: ExperimentComparison | None) -> list[Tile]:
    """Dice of each arm, its gain over the baseline, and its marker AUC."""
    if comparison is None:
        return []
    return [
        *(_score_tile(experiment, comparison, arm, "Dice", "test Dice") for arm in experiment.arms),
        *map(gain_tile, comparison.on("test")),
        *(
            _score_tile(experiment, comparison, arm, "AUC", "marker AUC")
            for arm in experiment.marker_arms
        ),
    ]


def _score_tile(
    experiment: Experiment, comparison: ExperimentComparison, arm: str, kind: str, label: str
) -> Tile:
    found, sd = score(experiment, comparison, arm, kind)
    colour = arm_colour(arm, experiment.arms)
    tile = estimate_tile(f"{arm_title(arm)}: {label}", found, colour=colour)
    if found.value is None:
        known = "outline" if kind == "Dice" else "marker"
        return replace(tile, note=f"not defined: too few test patients have a known {known}")
    return tile if sd is None else replace(tile, note=f"± {number(sd)} (SD over splits)")


def score(
    experiment: Experiment, comparison: ExperimentComparison, arm: str, kind: str
) -> tuple[Estimate, float | None]:
    """Mean test Dice or AUC: of one split with its interval, of several with its spread."""
    scores = comparison.of(arm, "test")
    found = scores.dice if kind == "Dice" else scores.marker_auc
    test = next(experiment.tests(arm), None)
    if experiment.n_splits * experiment.n_seeds > 1 or found.mean is None or test is None:
        return Estimate(found.mean), found.sd
    marker = test.summary.marker
    if kind == "Dice":
        of_split = test.summary.segmentation["dice"].of_mean
    else:
        of_split = marker.auc if marker else Estimate()
    return replace(of_split, value=found.mean), None


def _score_text(
    experiment: Experiment, comparison: ExperimentComparison, arm: str, kind: str
) -> str:
    found, sd = score(experiment, comparison, arm, kind)
    within = f" (95 % interval {ends(found)})" if found.ends else ""
    return spread(found.value, sd) + within


def summary(experiment: Experiment, comparison: ExperimentComparison | None) -> list[str]:
    """A paragraph for readers without statistics."""
    if comparison is None:
        return ["Nothing is evaluated yet, so there is nothing to sum up."]
    sentences = [_who(experiment), _outlines(experiment, comparison)]
    sentences += gain_sentences(comparison.on("test"), n_seeds=comparison.n_seeds)
    sentences.append(comparison.marker.sentence if comparison.marker else "")
    sentences.append(_markers(experiment, comparison))
    return [sentence for sentence in sentences if sentence]


def _who(experiment: Experiment) -> str:
    patients = {c.patient_id for arm in experiment.arms for _, c in experiment.tested(arm)}
    who = count(len(patients), "patient")
    if experiment.n_splits == 1:
        return f"The models were tested on {who} whom they had not seen in training."
    if experiment.record.folds:
        return (
            f"In a cross validation of {experiment.n_splits} folds, {who} were tested once each, "
            "always by models that had not seen them in training."
        )
    return (
        f"In {experiment.n_splits} random splits of the cohort, {who} were tested at least once, "
        "always by models that had not seen them in training."
    )


def _outlines(experiment: Experiment, comparison: ExperimentComparison) -> str:
    parts = [
        f"{_score_text(experiment, comparison, arm, 'Dice')} for the {arm_title(arm).lower()} model"
        for arm in comparison.arms
        if comparison.of(arm, "test").dice.mean is not None
    ]
    if not parts:
        return ""
    return (
        f"The overlap of the outlined tumour with the truth (Dice; 1 is perfect, 0 is none) was on "
        f"average {_joined(parts)}."
    )


def _markers(experiment: Experiment, comparison: ExperimentComparison) -> str:
    parts = [
        f"an AUC of {auc} by the {arm_title(arm).lower()} model"
        for arm in experiment.marker_arms
        if (auc := _score_text(experiment, comparison, arm, "AUC")) != UNDEFINED
    ]
    if not parts:
        return ""
    return f"The genetic marker was ranked with {_joined(parts)}; 0.5 is chance, 1 is perfect."


def _joined(parts: Sequence[str]) -> str:
    *head, last = parts
    return f"{', '.join(head)} and {last}" if head else last


def is_synthetic(patients: Sequence[str]) -> bool:
    """Whether a cohort comes from `plgg phantom`, by the names that it gives its patients."""
    return bool(patients) and all(name.startswith("phantom-") for name in patients)


def warnings(experiment: Experiment, failed: Sequence[tuple[str, str]]) -> list[str]:
    """Warnings about failures and missing parts that affect the results.

    Args:
        experiment: Its records.
        failed: Case and reason of each scan that could not be preprocessed.
    """
    found = [
        f"{_where(run, experiment)}: the marker head has collapsed, it gives every patient the "
        "same answer. Its probabilities mean nothing."
        for run in experiment.runs
        if run.collapsed
    ]
    for run in experiment.runs:
        for part, evaluation in run.evaluations.items():
            where = f"{_where(run, experiment)}, {part}"
            found += [
                f"{where}: {one.case_id} could not be scored: {one.reason}"
                for one in evaluation.summary.failed
            ]
            if evaluation.summary.missing:
                found.append(f"{where}: no prediction of {listed(evaluation.summary.missing)}.")
    found += _few(experiment)
    found += _uneven(experiment)
    found += [f"{case} could not be preprocessed and is in no split: {why}" for case, why in failed]
    return [*found, *experiment.notes]


def _where(run: Run, experiment: Experiment) -> str:
    seed = f", seed {experiment.record.seed + run.seed}" if run.seed else ""
    return f"Split {run.split + 1}, {run.arm}{seed}"


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
