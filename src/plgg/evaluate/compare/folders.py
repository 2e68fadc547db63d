"""`compare_results`: two sets of evaluated predictions of the same cases."""

from __future__ import annotations

from pathlib import Path

from plgg.core.errors import RunError
from plgg.evaluate.compare.contrast import Question, Results, contrast_of_cells, pair
from plgg.evaluate.compare.records import Comparison, Metric, Unpaired, find_metric
from plgg.evaluate.compare.results import Source, find_source, read_scores, short_names, size_ratio
from plgg.evaluate.compare.statistics import Aim, as_family


def compare_results(
    a: Path,
    b: Path,
    *,
    names: tuple[str, str] | None = None,
    metric: str = "dice",
    part: str = "test",
    seed: int = 0,
    aim: Aim | None = None,
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
        aim: The gain whose power is told.

    Raises:
        RunError: If there is nothing evaluated at a path, or nothing in common.
        ConfigError: If there is no such metric.
    """
    sources = (find_source(a, part=part), find_source(b, part=part))
    chosen = find_metric(metric)
    cells, unpaired = pair(*_aligned(sources, chosen))
    question = _question(sources, names, chosen, seed)
    if not cells:
        raise RunError(
            f"no case has {metric} in both {question.a} and {question.b}",
            remedy="Compare results on the same patients and splits.",
        )
    contrast = contrast_of_cells(cells, unpaired, question)
    paths = tuple(source.path for source in sources)
    return Comparison(paths, as_family([contrast], aim), _notes(chosen, unpaired))


def _question(
    sources: tuple[Source, Source], names: tuple[str, str] | None, metric: Metric, seed: int
) -> Question:
    name_a, name_b = names or short_names(source.path for source in sources)
    parts = {source.part for source in sources}
    part = parts.pop() if len(parts) == 1 else None
    folders = [folder for source in sources for folder in source.folders.values()]
    return Question(
        a=name_a,
        b=name_b,
        part=part,
        metric=metric,
        seed=seed,
        test_to_train=size_ratio(folders, part or "test"),
    )


def _aligned(sources: tuple[Source, Source], metric: Metric) -> tuple[Results, Results]:
    """Scores of both; two single folders are paired whatever their splits are called."""
    sizes = [len(source.folders) for source in sources]
    if min(sizes) == 1 < max(sizes):
        raise RunError(
            f"{sources[0].path} has {sizes[0]} splits and {sources[1].path} has {sizes[1]}",
            remedy="Compare one split with one, or an arm with an arm.",
        )
    single = max(sizes) == 1
    left, right = (
        {"" if single else name: read_scores(path, metric) for name, path in source.folders.items()}
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
