"""Compare the arms of an experiment over its splits, and models over cohorts.

Reads `experiment.json` and the evaluations below it.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np

from plgg.core.errors import RunError
from plgg.core.estimate import Estimate
from plgg.core.regular import is_regular
from plgg.data.check.report import listed
from plgg.data.experiment_folder import read_experiment, run_of
from plgg.data.run_folder import Record, read_split
from plgg.evaluate.compare.contrast import ContrastSetup, contrast_of_patients, pair
from plgg.evaluate.compare.experiment_records import ArmScores, ExperimentComparison, Scores, Spread
from plgg.evaluate.compare.marker_question import marker_answer
from plgg.evaluate.compare.metric import find_metric
from plgg.evaluate.compare.multiple_comparisons import adjust_p_values
from plgg.evaluate.compare.power import PowerTarget
from plgg.evaluate.compare.records import Contrast
from plgg.evaluate.compare.results import (
    CASES,
    Score,
    mean_scores,
    read_marker_auc,
    read_scores,
    size_ratio,
)
from plgg.evaluate.compare.seeds import by_patient, difference, spread
from plgg.evaluate.compare.statistics import Array, hierarchical_interval

# The test part, which is the headline, first.
PARTS = ("test", "validation")
DICE = find_metric("dice")

OVERLAP = (
    "The splits share patients: the plain t and Wilcoxon tests over splits take them for "
    "independent and are too hopeful, and so, a little, is the bootstrap over splits and "
    "patients; the corrected t test is the one to go by. Tests over patients speak of the models "
    "that were trained, not of the method."
)
SEEDS = (
    "Scores are means over {n} seeds, of each patient first. Seeds take chance in training out of "
    "the scores; they are no further trials of the method, and no test counts them as such."
)
ONE_SPLIT_OF_SEEDS = (
    "With one split no test over splits is possible: what another training set would do cannot be "
    "told. Run more splits."
)
ONE_SPLIT = (
    "With one split no test over splits is possible: how much of the difference is chance in "
    "training cannot be told. Run more splits."
)


@dataclass(frozen=True)
class _PartEvaluation:
    """Evaluation of one arm on one part of one split, with one seed."""

    folder: Path
    scores: Mapping[str, Score]
    auc: float | None


_Seeds = Mapping[int, _PartEvaluation]
_Pieces = Mapping[tuple[int, str, str], _Seeds]
"""By split, arm and part, the evaluation of each seed."""


def compare_experiment(
    experiment: Path, *, seed: int = 0, baseline: str | None = None, aim: PowerTarget | None = None
) -> ExperimentComparison:
    """Compare every arm of an experiment with the baseline, on test and on validation.

    Args:
        experiment: Folder with `experiment.json` and `split-K/ARM/evaluation/PART`.
        seed: Seed of the bootstrap.
        baseline: The arm that the others are compared with; by default the first.
        aim: The gain and the power to compute sample sizes for.

    Returns:
        Mean Dice over patients and marker AUC of each split, arm and part, and paired statistics
        over patients and splits. Of several seeds a patient's scores are averaged first.
        Evaluations that are not there yet are listed as missing.

    Raises:
        RunError: If the folder is no experiment, or none of it is evaluated.
    """
    plan = read_experiment(experiment)
    arms, splits = plan.arms, tuple(range(plan.n_splits))
    if baseline is not None:
        if baseline not in arms:
            raise RunError(
                f"has no arm {baseline!r}", where=experiment, remedy=f"Choose {', '.join(arms)}."
            )
        arms = (baseline, *(arm for arm in arms if arm != baseline))
    pieces, missing = _read(experiment, arms, splits, plan.n_seeds)
    if not pieces:
        raise RunError(
            "nothing is evaluated yet", where=experiment, remedy="Run plgg experiment to its end."
        )
    pairs = [(part, (arms[0], arm)) for part in PARTS for arm in arms[1:]]
    found = (_contrast(pieces, pair_of, part, splits, seed) for part, pair_of in pairs)
    contrasts = adjust_p_values([contrast for contrast in found if contrast is not None], aim)
    tested = tuple(contrast for contrast in contrasts if contrast.part == "test")
    ask = partial(_test_contrast, pieces, splits, seed)
    return ExperimentComparison(
        experiment=str(experiment),
        arms=arms,
        splits=splits,
        scores=tuple(_scores(pieces, arm, part, splits) for arm in arms for part in PARTS),
        contrasts=contrasts,
        won={c.b: _won(c) for c in contrasts if c.part == "test"},
        missing=missing,
        notes=(*_notes(arms, contrasts, plan.n_seeds), *_repeated(pieces, arms[0])),
        n_seeds=plan.n_seeds,
        spreads=_spreads(pieces, arms, splits) if plan.n_seeds > 1 else (),
        marker=marker_answer(tested, ask),
    )


def _read(
    experiment: Path, arms: tuple[str, ...], splits: tuple[int, ...], n_seeds: int
) -> tuple[_Pieces, tuple[str, ...]]:
    pieces: dict[tuple[int, str, str], dict[int, _PartEvaluation]] = defaultdict(dict)
    missing = []
    drawn: dict[int, dict[Path, Record]] = defaultdict(dict)
    for split, arm, part, seed in product(splits, arms, PARTS, range(n_seeds)):
        run = run_of(experiment, split, arm, seed)
        folder = run / "evaluation" / part
        if is_regular(folder / CASES):
            scores = read_scores(folder, DICE)
            if run not in drawn[split] and is_regular(run / "split.json"):
                drawn[split][run] = read_split(run)
            if run in drawn[split]:
                _require_own_cases(folder, drawn[split][run].get(part, ()), scores)
            pieces[split, arm, part][seed] = _PartEvaluation(
                folder, scores, read_marker_auc(folder)
            )
        else:
            missing.append(f"{f'seed-{seed}/' if seed else ''}split-{split}/{arm}/{part}")
    for runs in drawn.values():
        _require_one_split(runs)
    return dict(pieces), tuple(missing)


def _require_own_cases(evaluation: Path, cases: Iterable[str], scores: Iterable[str]) -> None:
    """Check that an evaluation is of the patients of its part of the split.

    Raises:
        RunError: If it scores other cases, as a copy of another part or arm does.
    """
    others = sorted(set(scores) - set(cases))
    if others:
        part = evaluation.name
        raise RunError(
            f"scores {listed(others)}, which the run's split.json does not list under {part}",
            where=evaluation,
            remedy="Delete this evaluation and repeat plgg experiment.",
        )


def _require_one_split(runs: Mapping[Path, Record]) -> None:
    """Check that all runs of a split have the same patients in each part.

    Raises:
        RunError: If they do not.
    """
    for run, parts in runs.items():
        first, expected = next(iter(runs.items()))
        if parts != expected:
            raise RunError(
                f"does not list the patients that {first} lists, of the same split",
                where=run / "split.json",
                remedy="Delete this run and repeat plgg experiment.",
            )


def _test_contrast(
    pieces: _Pieces, splits: tuple[int, ...], seed: int, a: str, b: str
) -> Contrast | None:
    """A contrast of any two arms on the test part."""
    return _contrast(pieces, (a, b), "test", splits, seed)


def _contrast(
    pieces: _Pieces, arms: tuple[str, str], part: str, splits: tuple[int, ...], seed: int
) -> Contrast | None:
    shared = {k: _shared(pieces, k, arms, part) for k in splits}
    there = [k for k in splits if shared[k]]
    a, b = (
        {f"split-{k}": _mean_of(pieces[k, arm, part], shared[k]) for k in there} for arm in arms
    )
    pairs, unpaired = pair(a, b)
    if not pairs:
        return None
    question = ContrastSetup(
        a=arms[0],
        b=arms[1],
        part=part,
        metric=DICE,
        seed=seed,
        test_to_train=size_ratio(
            (pieces[k, arms[0], part][shared[k][0]].folder for k in there), part
        ),
    )
    return contrast_of_patients(pairs, unpaired, question)


def _shared(pieces: _Pieces, split: int, arms: tuple[str, str], part: str) -> list[int]:
    """The seeds of a split that both arms have: only these are compared."""
    a, b = (pieces.get((split, arm, part), {}) for arm in arms)
    return sorted(set(a) & set(b))


def _mean_of(seeds: _Seeds, which: Iterable[int]) -> Mapping[str, Score]:
    return mean_scores([seeds[seed].scores for seed in which])


def _scores(pieces: _Pieces, arm: str, part: str, splits: tuple[int, ...]) -> ArmScores:
    found = [pieces.get((split, arm, part), {}) for split in splits]
    return ArmScores(
        arm=arm,
        part=part,
        dice=_summary(mean_over_patients(_mean_of(of, of)) if of else None for of in found),
        marker_auc=_summary(_mean_auc(of) for of in found),
    )


def _mean_auc(seeds: _Seeds) -> float | None:
    known = [piece.auc for piece in seeds.values() if piece.auc is not None]
    return statistics.fmean(known) if known else None


def _spreads(pieces: _Pieces, arms: tuple[str, ...], splits: tuple[int, ...]) -> tuple[Spread, ...]:
    """Variance components of each arm's test Dice, and of its difference from the baseline."""
    of = {
        (split, arm): {s: by_patient(p.scores) for s, p in pieces[split, arm, "test"].items()}
        for split, arm in product(splits, arms)
        if (split, arm, "test") in pieces
    }
    alone = [spread(arm, [list(of.get((k, arm), {}).values()) for k in splits]) for arm in arms]
    gains = [
        spread(
            f"{arm} − {arms[0]}",
            [
                [difference(of[k, arms[0]][s], of[k, arm][s]) for s in shared]
                for k in splits
                if (shared := _shared(pieces, k, (arms[0], arm), "test"))
            ],
        )
        for arm in arms[1:]
    ]
    return (*alone, *gains)


def patient_means(scores: Mapping[str, Score]) -> list[float]:
    """For each patient the mean over the scans."""
    return list(by_patient(scores).values())


def mean_over_patients(scores: Mapping[str, Score]) -> float | None:
    """Mean over patients of the mean over their scans; None without any."""
    means = patient_means(scores)
    return math.fsum(means) / len(means) if means else None


def _summary(values: Iterable[float | None]) -> Scores:
    row = tuple(values)
    known = [value for value in row if value is not None]
    return Scores(
        row,
        statistics.fmean(known) if known else None,
        statistics.stdev(known) if len(known) > 1 else None,
    )


def _won(contrast: Contrast) -> int:
    """The number of splits that the arm won; `contrast.splits` is None for a single split."""
    if contrast.splits is None:
        return int(contrast.difference > 0)
    return contrast.splits.n_improved or 0


def _repeated(pieces: _Pieces, arm: str) -> Iterator[str]:
    """A warning for each group of splits that test the same patients."""
    groups: dict[frozenset[str], list[int]] = defaultdict(list)
    for (split, of, part), seeds in pieces.items():
        if (of, part) == (arm, "test"):
            scores = next(iter(seeds.values())).scores
            groups[frozenset(one.patient_id for one in scores.values())].append(split)
    for splits in groups.values():
        if len(splits) > 1:
            yield repeated_tests(splits)


def repeated_tests(splits: Iterable[int]) -> str:
    """A warning that these splits, numbered from 0, are not independent trials."""
    *most, last = (str(split + 1) for split in splits)
    return (
        f"Splits {', '.join(most)} and {last} test the same patients: over patients they count "
        "once, and what is said over splits, which takes them for several, is too hopeful."
    )


def _notes(arms: tuple[str, ...], contrasts: tuple[Contrast, ...], n_seeds: int) -> tuple[str, ...]:
    if not contrasts:
        return ("There is nothing to compare: no two arms are evaluated on a common split.",)
    notes = [ONE_SPLIT if contrasts[0].splits is None else OVERLAP]
    if n_seeds > 1:
        notes = [ONE_SPLIT_OF_SEEDS if contrasts[0].splits is None else OVERLAP]
        notes.append(SEEDS.format(n=n_seeds))
    if len(arms) > 2:
        notes.append(
            f"Holm's adjustment is for comparing {len(arms) - 1} arms with {arms[0]}; the other p "
            "values are not adjusted."
        )
    return tuple(notes)


@dataclass(frozen=True)
class TransferRow:
    """The scores of the models of one cohort on the test patients of one cohort.

    Attributes:
        trained_on: Name of the training cohort.
        tested_on: Name of the patients' cohort.
        patients: Dice of each patient, for each split.
        dice: Mean over splits of the mean over patients; without ends for a single patient.
        marker_auc: Mean over splits; None where no marker was predicted.
    """

    trained_on: str
    tested_on: str
    patients: tuple[tuple[float, ...], ...]
    dice: Estimate
    marker_auc: float | None


def transfer_row(
    trained_on: str, tested_on: str, evaluations: Sequence[Path], *, seed: int
) -> TransferRow | None:
    """Read the evaluations of one row, one for each split; None where none is there.

    Raises:
        RunError: If one cannot be read.
    """
    there = [folder for folder in evaluations if (folder / CASES).is_file()]
    groups = [group for group in map(_by_patient, there) if group.size]
    if not groups:
        return None
    aucs = [auc for auc in map(read_marker_auc, there) if auc is not None]
    return TransferRow(
        trained_on,
        tested_on,
        tuple(tuple(group.tolist()) for group in groups),
        hierarchical_interval(groups, np.random.default_rng(seed)),
        float(np.mean(aucs)) if aucs else None,
    )


def _by_patient(evaluation: Path) -> Array:
    """Dice of each patient, the mean over scans."""
    return np.array(patient_means(read_scores(evaluation, DICE)), dtype=np.float64)
