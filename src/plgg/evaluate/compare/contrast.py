"""`compare_results`: paired differences of two sets of results, by patient and split."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from plgg.core.errors import RunError
from plgg.core.estimate import Estimate
from plgg.evaluate.compare import statistics
from plgg.evaluate.compare.metric import Metric, find_metric
from plgg.evaluate.compare.multiple_comparisons import adjust_p_values
from plgg.evaluate.compare.power import PowerTarget
from plgg.evaluate.compare.records import (
    Comparison,
    Contrast,
    Difference,
    PairedStatistics,
    Unit,
    Unpaired,
)
from plgg.evaluate.compare.results import (
    Score,
    Source,
    find_source,
    short_names,
    size_ratio,
    split_order,
)
from plgg.evaluate.compare.statistics import Array

Results = Mapping[str, Mapping[str, Score]]
"""Scores by split and case."""


Pairs = Mapping[str, Sequence[Difference]]
"""By split, the `Difference` of each patient, averaged over the patient's scans there."""


def pair(a: Results, b: Results) -> tuple[Pairs, Unpaired]:
    """Pair scores by split and case; cases that cannot be paired are listed.

    Raises:
        RunError: If a case belongs to different patients in a and b.
    """
    left, right = _flat(a), _flat(b)
    undefined = []
    grouped: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for key in (key for key in left if key in right):
        one, two = left[key], right[key]
        if one.value is None or two.value is None:
            undefined.append(key)
        else:
            grouped[key[0], _same_patient(key[1], one, two)].append((one.value, two.value))
    pairs: dict[str, list[Difference]] = defaultdict(list)
    for (split, patient), values in grouped.items():
        pairs[split].append(_averaged(patient, values, len(values)))
    unpaired = (set(left) - set(right), set(right) - set(left), undefined)
    return pairs, Unpaired(*map(_labels, unpaired))


def _flat(results: Results) -> dict[tuple[str, str], Score]:
    return {(s, case): score for s, scores in results.items() for case, score in scores.items()}


def _same_patient(case: str, a: Score, b: Score) -> str:
    # A blank patient is read as the case itself, which then is no contradiction.
    known = [score.patient_id for score in (a, b) if score.patient_id != case] or [case]
    if len(set(known)) > 1:
        raise RunError(
            f"case {case} is patient {known[0]} in one and {known[1]} in the other",
            remedy="Evaluate both against the same manifest.",
        )
    return known[0]


def _labels(keys: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    return tuple(sorted(f"{split}/{case}" if split else case for split, case in keys))


@dataclass(frozen=True)
class ContrastSetup:
    """The setup of a contrast.

    Attributes:
        a: Name of the baseline.
        b: Name of what is compared with it.
        part: Part of the split; None where unknown.
        metric: What is compared.
        seed: Seed of the bootstrap.
        test_to_train: n_test / n_train, for the corrected t test.
    """

    a: str
    b: str
    part: str | None
    metric: Metric
    seed: int
    test_to_train: float


def contrast_of_patients(pairs: Pairs, unpaired: Unpaired, question: ContrastSetup) -> Contrast:
    """Compare by patient and, with several splits, by split.

    Args:
        pairs: At least one patient.
        unpaired: The cases that could not be paired.
        question: The setup of the contrast.
    """
    splits = tuple(
        _average_differences(name, pairs[name]) for name in sorted(pairs, key=split_order)
    )
    by_patient: dict[str, list[Difference]] = defaultdict(list)
    for found in pairs.values():
        for one in found:
            by_patient[one.name].append(one)
    patients = tuple(_average_differences(name, by_patient[name]) for name in sorted(by_patient))
    rng = partial(np.random.default_rng, question.seed)
    groups = [_differences(pairs[split.name]) for split in splits]
    return replace(
        contrast_of_splits(splits, unpaired, question),
        interval=statistics.hierarchical_interval(groups, rng()),
        patients=_statistics(
            patients, statistics.patient_interval(_differences(patients), rng()), question
        ),
        patient_differences=patients,
        split_differences=splits if len(splits) > 1 else (),
    )


def contrast_of_splits(
    splits: Sequence[Difference], unpaired: Unpaired, question: ContrastSetup
) -> Contrast:
    """Compare by split where patients are not known, as in a printed table.

    Args:
        splits: At least one split.
        unpaired: The cases that could not be paired.
        question: The setup of the contrast.
    """
    d = _differences(splits)
    interval = statistics.corrected_interval(d, question.test_to_train)
    return Contrast(
        a=question.a,
        b=question.b,
        part=question.part,
        metric=question.metric.label,
        better=question.metric.better,
        difference=float(d.mean()),
        interval=interval,
        patients=None,
        splits=_statistics(splits, interval, question, unit="split") if d.size > 1 else None,
        patient_differences=(),
        split_differences=tuple(splits),
        unpaired=unpaired,
        test_to_train=question.test_to_train,
    )


def difference_of(name: str, a: float, b: float, n: int | None) -> Difference:
    """Make a `Difference` without rounding noise."""
    return Difference(name, a, b, float(statistics.paired_differences(a, b)), n)


def _averaged(name: str, values: Sequence[tuple[float, float]], n: int | None) -> Difference:
    a, b = np.mean(values, axis=0).tolist()
    return difference_of(name, a, b, n)


def _average_differences(name: str, found: Sequence[Difference]) -> Difference:
    """Average differences: those of patients into a split, or those of splits into a patient."""
    return _averaged(name, [(one.a, one.b) for one in found], sum(one.n or 0 for one in found))


def _differences(values: Sequence[Difference]) -> Array:
    return statistics.paired_differences([v.a for v in values], [v.b for v in values])


def _statistics(
    values: Sequence[Difference],
    interval: Estimate,
    question: ContrastSetup,
    *,
    unit: Unit = "patient",
) -> PairedStatistics:
    d = _differences(values)
    ratio = question.test_to_train if unit == "split" else 0.0
    above, below = int((d > 0).sum()), int((d < 0).sum())
    counts = {"higher": (above, below), "lower": (below, above), None: (None, None)}
    improved, worse = counts[question.metric.better]
    return PairedStatistics(
        unit=unit,
        n=d.size,
        mean_a=float(np.mean([value.a for value in values])),
        mean_b=float(np.mean([value.b for value in values])),
        difference=float(d.mean()),
        sd=float(d.std(ddof=1)) if d.size > 1 else None,
        median=float(np.median(d)),
        interval=interval,
        paired_t=statistics.paired_t(d),
        wilcoxon=statistics.wilcoxon(d),
        corrected_t=statistics.corrected_t(d, ratio) if unit == "split" else None,
        effect_size=statistics.effect_size(d),
        n_improved=improved,
        n_equal=int((d == 0).sum()),
        n_worse=worse,
        share_improved=None if improved is None else improved / d.size,
        effect_interval=statistics.effect_interval(d, ratio),
    )


def compare_results(
    a: Path,
    b: Path,
    *,
    names: tuple[str, str] | None = None,
    metric: str = "dice",
    part: str = "test",
    seed: int = 0,
    aim: PowerTarget | None = None,
) -> Comparison:
    """Compare b with a, case by case.

    Cases are paired by split and case, scans averaged within a patient, and differences b − a
    taken by patient; a patient whom several splits tested counts once in the statistics over
    patients. What only one side has is listed, never dropped silently.

    Args:
        a: The baseline: an evaluation folder, a predictions folder that holds `evaluation/`, a run
            folder, `EXPERIMENT:ARM` or `EXPERIMENT/split-*/ARM`.
        b: What is compared with it, likewise.
        names: What to call a and b; by default the ends of their paths.
        metric: Column of `cases.csv`; of a signed error the absolute value is compared.
        part: Part of a run, `validation` or `test`.
        seed: Seed of the bootstrap.
        aim: The gain and the power to compute sample sizes for.

    Raises:
        RunError: If there is nothing evaluated at a path, or nothing in common.
        ConfigError: If there is no such metric.
    """
    sources = (find_source(a, part=part), find_source(b, part=part))
    chosen = find_metric(metric)
    pairs, unpaired = pair(*_aligned(sources, chosen))
    question = _question_of(sources, names, chosen, seed)
    if not pairs:
        raise RunError(
            f"no case has {metric} in both {question.a} and {question.b}",
            remedy="Compare results on the same patients and splits.",
        )
    contrast = contrast_of_patients(pairs, unpaired, question)
    paths = tuple(source.path for source in sources)
    missing = sorted({name for source in sources for name in source.missing}, key=split_order)
    notes = [f"Not there yet, and left out: {', '.join(missing)}."] if missing else []
    return Comparison(paths, adjust_p_values([contrast], aim), (*_notes(chosen, unpaired), *notes))


def _question_of(
    sources: tuple[Source, Source], names: tuple[str, str] | None, metric: Metric, seed: int
) -> ContrastSetup:
    name_a, name_b = names or short_names(source.path for source in sources)
    parts = {source.part for source in sources}
    part = parts.pop() if len(parts) == 1 else None
    folders = [folder for source in sources for folder in source.folders.values()]
    return ContrastSetup(
        a=name_a,
        b=name_b,
        part=part,
        metric=metric,
        seed=seed,
        test_to_train=size_ratio(folders, part or "test"),
    )


def _aligned(sources: tuple[Source, Source], metric: Metric) -> tuple[Results, Results]:
    """The scores of both sources; two single folders are paired whatever their splits' names."""
    sizes = [len(source.folders) for source in sources]
    if min(sizes) == 1 < max(sizes):
        raise RunError(
            f"{sources[0].path} has {sizes[0]} splits and {sources[1].path} has {sizes[1]}",
            remedy="Compare one split with one, or an arm with an arm.",
        )
    single = max(sizes) == 1
    left, right = (
        {"" if single else name: source.scores(name, metric) for name in source.folders}
        for source in sources
    )
    return left, right


def _notes(metric: Metric, unpaired: Unpaired) -> tuple[str, ...]:
    notes = []
    if metric.absolute:
        notes.append(f"Absolute values of {metric.name} are compared.")
    if metric.better is None:
        notes.append(f"Neither direction of {metric.name} is better.")
    if unpaired.n:
        notes.append(f"{unpaired.n} cases could not be paired and are listed.")
    return tuple(notes)
