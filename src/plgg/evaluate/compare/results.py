"""Find evaluation folders, and read one metric of each case from `cases.csv`.

A path may be an evaluation folder, a predictions folder that holds one, a run, or an arm of an
experiment with all its splits.
"""

from __future__ import annotations

import glob
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel

from plgg.core.errors import ConfigError, RunError
from plgg.core.records import read_record
from plgg.core.regular import is_regular, is_there
from plgg.core.tables import known, number, read_csv
from plgg.data.experiment_folder import read_experiment
from plgg.data.run_folder import read_split
from plgg.evaluate.compare.metric import Metric
from plgg.evaluate.compare.statistics import TEST_TO_TRAIN

CASES = "cases.csv"


@dataclass(frozen=True)
class Source:
    """Results of one model, or of one arm on several splits.

    Attributes:
        path: What the user wrote.
        folders: Evaluation folders by the name of their split; that name is blank for one folder.
        part: Part of the split that was evaluated; None where unknown.
        more: Of an experiment with several seeds, the evaluation folders of the further ones.
        missing: Splits that the experiment was planned with, and this arm has not.
    """

    path: str
    folders: Mapping[str, Path]
    part: str | None
    more: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    missing: tuple[str, ...] = ()

    def scores(self, split: str, metric: Metric) -> Mapping[str, Score]:
        """A metric of a split by case, the mean over seeds.

        Raises:
            RunError: If a file cannot be read.
        """
        folders = (self.folders[split], *self.more.get(split, ()))
        return mean_scores([read_scores(folder, metric) for folder in folders])


def find_source(path: Path, *, part: str) -> Source:
    """Find the evaluation folders under a path.

    Args:
        path: An evaluation folder, a predictions folder with `evaluation/`, a run folder,
            `EXPERIMENT:ARM` or, the same, `EXPERIMENT/split-*/ARM`.
        part: Which part of a run is meant, `validation` or `test`.

    Raises:
        RunError: If there is none.
    """
    text = str(path)
    if not path.exists():
        experiment, colon, arm = text.rpartition(":")
        if colon and Path(experiment).is_dir():
            return _arm(text, f"{glob.escape(experiment)}/split-*/{glob.escape(arm)}", part)
        if "*" in text:
            return _arm(text, text, part)
        raise RunError("no such folder", where=text, remedy="Check the path.")
    folder = _evaluation(path, part)
    return Source(text, {"": folder}, _part_of(folder))


def _arm(text: str, pattern: str, part: str) -> Source:
    found = [Path(match) for match in glob.glob(pattern) if Path(match).is_dir()]  # noqa: PTH207
    if not found:
        raise RunError(
            "no split has such an arm",
            where=text,
            remedy="Write EXPERIMENT:ARM, for example results:multitask.",
        )
    folders = {_split_name(path): path for path in found}
    if len(folders) < len(found):
        raise RunError(
            "matches several folders of one split",
            where=text,
            remedy="Name one arm, for example results:multitask.",
        )
    names = sorted(folders, key=split_order)
    return Source(
        text,
        {name: _evaluation(folders[name], part) for name in names},
        part,
        {name: _further_seeds(folders[name], part) for name in names},
        _missing_splits(found[0]),
    )


def _missing_splits(run: Path) -> tuple[str, ...]:
    """Planned splits of an experiment in which the arm of a run is not there."""
    experiment = run.parent.parent
    try:
        n_splits = read_experiment(experiment).n_splits
    except RunError:  # Also of folders that are no experiment.
        return ()
    planned = (f"split-{number}" for number in range(n_splits))
    return tuple(name for name in planned if not is_there(experiment / name / run.name))


def _further_seeds(run: Path, part: str) -> tuple[Path, ...]:
    """Evaluations of the further seeds of `EXPERIMENT/split-K/ARM`, those that are there."""
    experiment = run.parent.parent
    if not (experiment / "experiment.json").is_file():
        return ()
    runs = sorted(experiment.glob(f"seed-*/{glob.escape(f'{run.parent.name}/{run.name}')}"))
    found = (run / "evaluation" / part for run in runs)
    return tuple(folder for folder in found if (folder / CASES).is_file())


def _split_name(run: Path) -> str:
    named = [part for part in run.parts if part.startswith("split-")]
    return named[-1] if named else run.as_posix()


def split_order(name: str) -> tuple[int, str]:
    """Key that sorts `split-2` before `split-10`."""
    number = re.search(r"(\d+)$", name)
    return (int(number[1]) if number else -1, name)


def _evaluation(path: Path, part: str) -> Path:
    for folder in (path, path / "evaluation", path / "evaluation" / part):
        if is_regular(folder / CASES):
            return folder
    if is_regular(path / "experiment.json"):
        raise RunError(
            "is an experiment with several arms",
            where=path,
            remedy=f"Name one, for example {path}:multitask.",
        )
    raise RunError(f"holds no evaluation ({CASES})", where=path, remedy="Make one: plgg evaluate.")


def _part_of(evaluation: Path) -> str | None:
    return evaluation.name if evaluation.parent.name == "evaluation" else None


def size_ratio(evaluations: Iterable[Path], part: str) -> float:
    """Mean n_test / n_train of runs by their `split.json`; 15/70 where none is known.

    Args:
        evaluations: Folders `RUN/evaluation/PART`.
        part: The part that stands for "test" in the ratio.
    """
    ratios = [ratio for folder in evaluations if (ratio := _ratio(folder, part)) is not None]
    return sum(ratios) / len(ratios) if ratios else TEST_TO_TRAIN


def _ratio(evaluation: Path, part: str) -> float | None:
    path = evaluation.parent.parent / "split.json"
    if evaluation.parent.name != "evaluation" or not path.is_file():
        return None
    split = read_split(path.parent)
    if part not in split or not split["train"]:
        raise RunError("is not a readable split", where=path, remedy="Train again.")
    return len(split[part]) / len(split["train"])


def short_names(paths: Iterable[str]) -> tuple[str, ...]:
    """The end of each path, as long as it takes to tell them apart."""
    known = [
        [part for part in re.split(r"[/\\:]", text) if part not in ("", "*")] for text in paths
    ]
    longest = max(len(parts) for parts in known)
    for length in range(1, longest + 1):
        names = tuple("/".join(_without_tail(parts)[-length:]) for parts in known)
        if len(set(names)) == len(names):
            return names
    return tuple(f"{'/'.join(parts)} ({n})" for n, parts in enumerate(known, start=1))


def _without_tail(parts: list[str]) -> list[str]:
    kept = list(parts)
    while len(kept) > 1 and kept[-1] in ("evaluation", "validation", "test", "predictions"):
        kept.pop()
    return kept


_NOT_FINITE = ("nan", "inf", "infinity")


@dataclass(frozen=True)
class Score:
    """The score of one case.

    Attributes:
        patient_id: The patient; the case itself where the patient is unknown.
        value: The metric; None where it is undefined.
    """

    patient_id: str
    value: float | None


def read_scores(evaluation: Path, metric: Metric) -> Mapping[str, Score]:
    """Read a metric of `cases.csv` by case.

    Raises:
        RunError: If the file cannot be read.
        ConfigError: If it has no such column of numbers.
    """
    path = evaluation / CASES
    rows = _rows(path)
    if not rows:
        raise RunError("holds no cases", where=path, remedy="Evaluate again.")
    if metric.name not in rows[0]:
        raise ConfigError(
            f"has no column {metric.name!r} (it has: {', '.join(rows[0])})",
            where=path,
            remedy="Choose one of these as --metric.",
        )
    return {
        row["case_id"]: Score(row.get("patient_id") or row["case_id"], _value(row, metric, path))
        for row in rows
    }


def mean_scores(seeds: Sequence[Mapping[str, Score]]) -> Mapping[str, Score]:
    """The scores of each case, averaged over the seeds of a run in which they are defined."""
    if len(seeds) == 1:
        return seeds[0]
    cases = dict.fromkeys(case for scores in seeds for case in scores)
    return {case: _mean_score([s[case] for s in seeds if case in s]) for case in cases}


def _mean_score(found: Sequence[Score]) -> Score:
    values = [score.value for score in found if score.value is not None]
    return Score(found[0].patient_id, math.fsum(values) / len(values) if values else None)


def read_marker_auc(evaluation: Path) -> float | None:
    """Macro AUC of the marker by `summary.json`; None where none was predicted or could be scored.

    Raises:
        RunError: If the file is there but cannot be read.
    """
    path = evaluation / "summary.json"
    if not os.path.lexists(path):
        return None
    summary = read_record(
        path, _Summary, error=RunError, what="cannot be read", remedy="Evaluate again."
    )
    auc = summary.marker.auc if summary.marker else None
    return auc.value if auc else None


class _Auc(BaseModel):
    value: float | None


class _Marker(BaseModel):
    auc: _Auc | None


class _Summary(BaseModel):
    """The field of `summary.json` that is compared."""

    marker: _Marker | None


def _rows(path: Path) -> list[dict[str, str]]:
    rows = read_csv(path, error=RunError, key=str).rows()
    names = [row.get("case_id", "") for row in rows]
    if "" in names or len(set(names)) < len(names):
        raise RunError("a case_id is blank or occurs twice", where=path, remedy="Evaluate again.")
    return rows


def _value(row: Mapping[str, str], metric: Metric, path: Path) -> float | None:
    text = known(row[metric.name])
    if text is None:
        return None
    value = number(text)
    if value is None and text.lower().lstrip("+-") not in _NOT_FINITE:
        raise ConfigError(
            f"{metric.name} of {row['case_id']} is {text!r}, no number",
            where=path,
            remedy="Choose a column of numbers as --metric.",
        )
    if value is None or not math.isfinite(value):
        return None
    if metric.bounds and not metric.bounds[0] <= value <= metric.bounds[1]:
        raise RunError(
            f"{metric.name} of {row['case_id']} is {text}, which it cannot be",
            where=path,
            remedy="Evaluate again.",
        )
    return abs(value) if metric.absolute else value
