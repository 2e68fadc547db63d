"""The records of a comparison of the arms of an experiment, over its splits and seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from plgg.evaluate.compare.records import Contrast, as_record


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
    """Standard deviations of a mean test Dice, or of a difference, by source of variation.

    None where there are fewer than two seeds, splits or patients.

    Attributes:
        name: The arm, or `b − a`.
        n_seeds: Seeds of each split, at most.
        seeds: Chance in training: between runs of one split that differ only in their seed.
        splits: Choice of training and test patients: between the splits' means over seeds, less
            the contribution of the seeds.
        patients: Between the patients of a split, each a mean over seeds.
    """

    name: str
    n_seeds: int
    seeds: float | None
    splits: float | None
    patients: float | None


@dataclass(frozen=True)
class MarkerGain:
    """The gain of an arm over `single`.

    Attributes:
        arm: `oracle` or `multitask`.
        difference: Difference of the mean test Dice.
        low: Lower end of the 95 % interval that decides; None where it is undefined.
        high: Upper end.
        p: P value of the test that decides, adjusted for the number of comparisons; None likewise.
        shown: Whether the difference is significant, and its direction.
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
        found = {"format": "plgg-experiment-comparison", "version": 1, **as_record(self)}
        if self.n_seeds == 1:
            del found["n_seeds"], found["spreads"]
        if self.marker is None:
            del found["marker"]
        return found
