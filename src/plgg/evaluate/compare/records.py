"""The records of a comparison of two sets of results.

A number that is not defined is None and its record says why.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from plgg.core.estimate import Estimate
from plgg.evaluate.compare.metric import Better

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
        n: Number of averaged pairs of scans; None for values from a table.
    """

    name: str
    a: float
    b: float
    difference: float
    n: int | None


@dataclass(frozen=True)
class Unpaired:
    """The cases that could not be paired, as `case` or `split/case`.

    Attributes:
        only_a: Cases in a only.
        only_b: Cases in b only.
        undefined: Cases in both, whose metric is undefined in one or both.
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
    """The sample sizes needed to detect a target gain, by the observed spread.

    Attributes:
        gain: Mean difference to detect.
        power: Probability to detect it, two-sided at the 5 % level.
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
        unpaired: The cases that were left out.
        test_to_train: Ratio of the sizes of test and training part in the corrected test.
        adjusted_p: Holm-adjusted p among all arms on this part: of the corrected t test over
            splits, with one split of Wilcoxon over patients. None where that is undefined.
        power: Sample sizes to detect a gain; None where no spread is known.
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


def as_record(comparison: Any) -> dict[str, Any]:  # noqa: ANN401 - any dataclass
    """Convert a comparison into a record for JSON."""
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
        return {"format": "plgg-comparison", "version": 1, **as_record(self)}
