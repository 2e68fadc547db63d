"""The best, the median and the worst test case of an arm: which they are, and their pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from plgg.errors import PlggError
from plgg.evaluate import CaseScores
from plgg.io.store import Store
from plgg.report.canvas import Picture, as_png
from plgg.report.experiment_records import Experiment, Run
from plgg.report.figures_scan import load_views, scan_figure
from plgg.report.numbers import number
from plgg.report.palette import arm_title

_GREYS = 160


@dataclass(frozen=True)
class Example:
    """A case to look at.

    Attributes:
        rank: `Best`, `Median` or `Worst`.
        case_id: The scan.
        facts: Pairs of a label and a value.
        picture: Three planes; None where the images are not at hand.
        problem: Why there is no picture.
    """

    rank: str
    case_id: str
    facts: tuple[tuple[str, str], ...]
    picture: Picture | None
    problem: str | None = None


def arms_to_show(experiment: Experiment) -> tuple[str, ...]:
    """The arms whose cases are shown: those that name markers, else the last."""
    return experiment.marker_arms or experiment.arms[-1:]


def examples(experiment: Experiment, arm: str, store: Store | None) -> tuple[Example, ...]:
    """Best, median and worst by Dice; fewer where there are fewer cases."""
    tested = [(run, case) for run, case in experiment.tested(arm) if case.dice is not None]
    chosen = choose(sorted(tested, key=lambda pair: (pair[1].dice or 0.0, pair[1].case_id)))
    return tuple(
        _example(rank, run, case, store, n_splits=experiment.n_splits) for rank, run, case in chosen
    )


def choose(ascending: Sequence[tuple[Run, CaseScores]]) -> list[tuple[str, Run, CaseScores]]:
    """Best, median and worst of cases in ascending order, no scan twice."""
    last = len(ascending) - 1
    wanted = (("Best", last), ("Worst", 0), ("Median", last // 2)) if ascending else ()
    chosen: dict[str, tuple[str, Run, CaseScores]] = {}
    for rank, index in wanted:
        run, case = ascending[index]
        chosen.setdefault(case.case_id, (rank, run, case))
    order = ("Best", "Median", "Worst")
    return sorted(chosen.values(), key=lambda found: order.index(found[0]))


def _example(
    rank: str, run: Run, case: CaseScores, store: Store | None, *, n_splits: int
) -> Example:
    facts = _facts(run, case, n_splits)
    mask = run.folder / "predictions" / "test" / case.case_id / "mask.nii.gz"
    if store is None:
        return Example(rank, case.case_id, facts, None, "the store is not at hand")
    if case.case_id not in store.by_id or not mask.is_file():
        return Example(rank, case.case_id, facts, None, "the scan or its prediction is not there")
    try:
        picture = _picture(rank, run, case, store, mask)
    except PlggError as error:
        return Example(rank, case.case_id, facts, None, error.what)
    return Example(rank, case.case_id, facts, picture)


def _picture(rank: str, run: Run, case: CaseScores, store: Store, mask: Path) -> Picture:
    figure = scan_figure(load_views(store, case.case_id, mask))
    alt = (
        f"{rank} test case of the {arm_title(run.arm).lower()} model, {case.case_id}, Dice "
        f"{number(case.dice)}: axial, coronal and sagittal slice with the outline of the truth in "
        "green and of the prediction in magenta."
    )
    return as_png(figure, alt, colours=_GREYS)


def _facts(run: Run, case: CaseScores, n_splits: int) -> tuple[tuple[str, str], ...]:
    facts = [
        ("Dice", number(case.dice)),
        ("Volume", f"{number(case.volume_ml, 1)} mL"),
        ("Predicted", f"{number(case.predicted_volume_ml, 1)} mL"),
    ]
    if case.probabilities:
        facts += [("Marker", case.marker or "unknown"), ("Model says", _named(case))]
    if n_splits > 1:
        facts.append(("Split", str(run.split + 1)))
    return tuple(facts)


def _named(case: CaseScores) -> str:
    """The named class with its probability, and the true one's where that is another."""
    named = case.predicted_marker or max(case.probabilities, key=case.probabilities.__getitem__)
    told = f"{named} ({number(case.probabilities.get(named), 2)})"
    if case.marker and case.marker != named:
        told += f"; {case.marker} {number(case.probabilities.get(case.marker), 2)}"
    return told
