"""The records of a comparison, and which metrics there are.

A number that is not defined is None and its record says why.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from plgg.core.estimate import Estimate

Better = Literal["higher", "lower"]
Unit = Literal["patient", "split"]


@dataclass(frozen=True)
class Significance:
    """A two-sided test of "the difference is zero".

    Attributes:
        statistic: t, or Wilcoxon's smaller rank sum; None where undefined.
        p: Its p value; None where undefined.
        note: Why it is undefined, or what limits it; None where there is nothing to say.
    """

    statistic: float | None
    p: float | None
    note: str | None = None


@dataclass(frozen=True)
class PairedStatistics:
    """Paired differences b − a over patients or over splits.

    Attributes:
        unit: What one difference belongs to.
        n: Number of differences.
        mean_a: Mean of a.
        mean_b: Mean of b.
        difference: Mean of b − a.
        sd: Standard deviation of the differences (n − 1); None for one difference.
        median: Median of the differences.
        interval: 95 % interval of the mean difference.
        paired_t: Student's paired t test.
        wilcoxon: Wilcoxon's signed-rank test, zeros dropped.
        corrected_t: Nadeau and Bengio's corrected t test; None over patients, who do not overlap.
        effect_size: Cohen's d_z = mean / sd of the differences; None where sd is zero or unknown.
        effect_interval: Its 95 % interval; None in results of older versions.
        n_improved: Differences in b's favour; None where neither direction is better.
        n_equal: Differences of zero.
        n_worse: Differences in a's favour; None likewise.
        share_improved: n_improved / n; None likewise.
    """

    unit: Unit
    n: int
    mean_a: float
    mean_b: float
    difference: float
    sd: float | None
    median: float
    interval: Estimate
    paired_t: Significance
    wilcoxon: Significance
    corrected_t: Significance | None
    effect_size: float | None
    n_improved: int | None
    n_equal: int
    n_worse: int | None
    share_improved: float | None
    effect_interval: Estimate | None = None


@dataclass(frozen=True)
class Difference:
    """One patient or one split.

    Attributes:
        name: The patient or the split.
        a: Its value in a, averaged over what it holds.
        b: Its value in b likewise.
        difference: b − a.
        n: How many pairs of scans were averaged; None where a table does not tell.
    """

    name: str
    a: float
    b: float
    difference: float
    n: int | None


@dataclass(frozen=True)
class Unpaired:
    """What could not be paired, as `case` or `split/case`; listed so that nothing is lost silently.

    Attributes:
        only_a: Only a has it.
        only_b: Only b has it.
        undefined: Both have it, but the metric is blank in one or both.
    """

    only_a: tuple[str, ...] = ()
    only_b: tuple[str, ...] = ()
    undefined: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        """How many were left out."""
        return len(self.only_a) + len(self.only_b) + len(self.undefined)


@dataclass(frozen=True)
class Power:
    """What it would take to find a gain that is hoped for, by the spread that was seen.

    Attributes:
        gain: Mean difference to be found.
        power: Chance to find it, two-sided at the 5 % level.
        n_splits: Splits of this cohort; None where the spread is unknown or no number suffices.
        n_patients: Test patients of whom each counts once; None where the spread is unknown.
        sentence: The same in words.
    """

    gain: float
    power: float
    n_splits: int | None
    n_patients: int | None
    sentence: str


@dataclass(frozen=True)
class Contrast:
    """Two sets of results, a and b, on the same cases.

    Attributes:
        a: Name of the baseline.
        b: Name of what is compared with it.
        part: `validation`, `test`; None where unknown.
        metric: The metric, a column of `cases.csv` or of a table.
        better: Which direction is better; None where neither is.
        difference: The headline: mean over splits of the mean over patients of b − a.
        interval: Its 95 % interval. With several splits of patients: a bootstrap that resamples
            splits, then patients within each. With one: a bootstrap over patients. Without
            patients: from the corrected t distribution over splits.
        patients: Statistics over patients, each averaged over its scans and splits; None where
            patients are unknown. They speak of these trained models.
        splits: Statistics over splits; None with fewer than two. They speak of the method that
            trained the models.
        patient_differences: One for each patient, by name.
        split_differences: One for each split.
        unpaired: What was left out.
        test_to_train: Ratio of the sizes of test and training part in the corrected test.
        adjusted_p: Holm-adjusted p among all arms on this part: of the corrected t test over
            splits, with one split of Wilcoxon over patients. None where that is undefined.
        power: What a gain would take; None where no spread is known.
    """

    a: str
    b: str
    part: str | None
    metric: str
    better: Better | None
    difference: float
    interval: Estimate
    patients: PairedStatistics | None
    splits: PairedStatistics | None
    patient_differences: tuple[Difference, ...]
    split_differences: tuple[Difference, ...]
    unpaired: Unpaired
    test_to_train: float
    adjusted_p: float | None = None
    power: Power | None = None


def _json(comparison: Comparison | ExperimentComparison) -> dict[str, Any]:
    return asdict(comparison, dict_factory=_fields)


def _fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The fields of a record; the note of an `Estimate` is called `reason` in JSON."""
    found = dict(pairs)
    if "n_undefined" in found:
        written = {key: found[key] for key in ("value", "low", "high", "method")}
        return written | {"reason": found["note"]}
    return found


@dataclass(frozen=True)
class Comparison:
    """One or more contrasts against one baseline.

    Attributes:
        sources: Where the results were read, in the order of the names.
        contrasts: One for each set of results but the first.
        notes: What a reader should know, in whole sentences.
    """

    sources: tuple[str, ...]
    contrasts: tuple[Contrast, ...]
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The comparison as a record for JSON; undefined numbers are None."""
        return {"format": "plgg-comparison", "version": 1, **_json(self)}


@dataclass(frozen=True)
class Scores:
    """A number for each split, and its mean and standard deviation (n − 1) over splits.

    Attributes:
        values: One for each split, in the experiment's order; None where it is not there.
        mean: Over the known values; None without any.
        sd: Likewise; None with fewer than two.
    """

    values: tuple[float | None, ...]
    mean: float | None
    sd: float | None


@dataclass(frozen=True)
class ArmScores:
    """One arm on one part.

    Attributes:
        arm: Name of the arm.
        part: `validation` or `test`.
        dice: Mean Dice over patients.
        marker_auc: AUC of the marker; all None where the arm names no marker.
    """

    arm: str
    part: str
    dice: Scores
    marker_auc: Scores


@dataclass(frozen=True)
class Spread:
    """How much a mean test Dice, or a difference of two, owes to chance of several kinds.

    Standard deviations; None where there are fewer than two of a kind.

    Attributes:
        name: The arm, or `b − a`.
        n_seeds: Seeds of each split, at most.
        seeds: Chance in training: between runs of one split that differ in their seed alone.
        splits: Who is trained on and tested, by split: between the splits' means over seeds, less
            what chance in training adds to these.
        patients: Between the patients of a split, each a mean over seeds.
    """

    name: str
    n_seeds: int
    seeds: float | None
    splits: float | None
    patients: float | None


@dataclass(frozen=True)
class MarkerGain:
    """What an arm gains over `single`.

    Attributes:
        arm: `oracle` or `multitask`.
        difference: Of the mean test Dice.
        low: Lower end of the 95 % interval to go by; None where it is undefined.
        high: Upper end.
        p: Of the test to go by, adjusted for the number of comparisons; None likewise.
        shown: Whether it is shown that there is a difference, and in which direction.
    """

    arm: str
    difference: float
    low: float | None
    high: float | None
    p: float | None
    shown: Literal["better", "worse", "not shown"]


@dataclass(frozen=True)
class MarkerAnswer:
    """Whether the marker can help the outline on these patients, and whether it did.

    Attributes:
        can_help: Oracle minus single.
        did_help: Multitask minus single; None where that arm was not run.
        sentence: Both in words.
    """

    can_help: MarkerGain
    did_help: MarkerGain | None
    sentence: str


@dataclass(frozen=True)
class ExperimentComparison:
    """The arms of an experiment over its splits.

    Attributes:
        experiment: Its folder.
        arms: Names of the arms; the first is the baseline.
        splits: Numbers of the splits, as in the names of their folders.
        scores: One for each arm and part.
        contrasts: Each arm against the first, on test and on validation.
        won: By arm: the number of splits on whose test part its mean Dice is above the baseline's.
        missing: Evaluations that are not there, as `split-K/ARM/PART`.
        notes: What a reader should know, in whole sentences.
        n_seeds: Seeds of each split and arm; scores are means over them, of each patient first.
        spreads: With several seeds, of each arm and difference.
        marker: Whether the marker can help, and did; None where no oracle was run.
    """

    experiment: str
    arms: tuple[str, ...]
    splits: tuple[int, ...]
    scores: tuple[ArmScores, ...]
    contrasts: tuple[Contrast, ...]
    won: Mapping[str, int]
    missing: tuple[str, ...]
    notes: tuple[str, ...]
    n_seeds: int = 1
    spreads: tuple[Spread, ...] = ()
    marker: MarkerAnswer | None = None

    def of(self, arm: str, part: str) -> ArmScores:
        """The scores of one arm on one part."""
        return next(s for s in self.scores if (s.arm, s.part) == (arm, part))

    def on(self, part: str) -> tuple[Contrast, ...]:
        """The contrasts on one part."""
        return tuple(contrast for contrast in self.contrasts if contrast.part == part)

    def as_json(self) -> dict[str, Any]:
        """The comparison as a record for JSON; undefined numbers are None."""
        found = {"format": "plgg-experiment-comparison", "version": 1, **_json(self)}
        if self.n_seeds == 1:
            del found["n_seeds"], found["spreads"]
        if self.marker is None:
            del found["marker"]
        return found


HIGHER = ("dice", "soft_dice", "surface_dice", "n_lesions_found")
SHARES = ("dice", "soft_dice", "surface_dice")
LOWER = ("hd95_mm", "n_false_lesions")
# Signed errors: what counts is how far from zero they are.
TO_ZERO = ("volume_error_ml",)
# Of a task, written TASK:METRIC.
TASK_HIGHER = ("accuracy", "dice", "surface_dice")
TASK_LOWER = ("mae", "brier", "hd95_mm")


@dataclass(frozen=True)
class Metric:
    """A column of `cases.csv` that is compared.

    Attributes:
        name: Name of the column.
        better: Which direction is better; None where neither is.
        absolute: Whether its absolute value is compared.
        bounds: Between which it lies; None where that is not known.
    """

    name: str
    better: Better | None
    absolute: bool = False
    bounds: tuple[float, float] | None = None

    @property
    def label(self) -> str:
        """The name as it is shown."""
        return f"|{self.name}|" if self.absolute else self.name


def find_metric(name: str) -> Metric:
    """A metric by the name of its column; one that is not known has no better direction."""
    _, colon, of_task = name.partition(":")
    if colon and of_task in TASK_HIGHER:
        return Metric(name, "higher", bounds=(0.0, 1.0))
    if colon and of_task in TASK_LOWER:
        return Metric(name, "lower", bounds=(0.0, math.inf))
    if name in HIGHER:
        return Metric(name, "higher", bounds=(0.0, 1.0 if name in SHARES else math.inf))
    if name in LOWER:
        return Metric(name, "lower", bounds=(0.0, math.inf))
    zero = name in TO_ZERO or (colon and of_task in TO_ZERO)
    return Metric(name, "lower", absolute=True) if zero else Metric(name, None)
