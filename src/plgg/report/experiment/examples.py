"""The best, the median and the worst test case of an arm, as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from plgg.core.errors import PlggError
from plgg.core.prediction_files import MASK
from plgg.data.nifti.image import read_volume
from plgg.data.store import Store
from plgg.data.store_arrays import OUTSIDE, decode
from plgg.evaluate.experiment_records import Experiment, Run
from plgg.evaluate.records import CaseScores
from plgg.preprocess.brain_extraction import bounding_box
from plgg.preprocess.resample import resample
from plgg.report.drawing import as_png
from plgg.report.numbers import number
from plgg.report.parts import PREDICTION, TRUTH, Facts, Picture, arm_title

# Axis that is cut, its name, and what lies at the left and the right of the picture.
_PLANES = ((2, "axial", "RL"), (1, "coronal", "RL"), (0, "sagittal", "AP"))
_GREY = (-2.5, 4.5)
# Inches.
_WIDTH = 9.0
_TITLE = 0.28


@dataclass(frozen=True, eq=False)
class ScanViews:
    """A case on the store's grid, whose axes run to the patient's left, back and top.

    Attributes:
        image: z-scores, shape (I, J, K), 0 outside the brain.
        brain: Where the brain is.
        truth: Tumour by hand; None where unknown.
        prediction: Tumour by the model.
    """

    image: NDArray[np.float32]
    brain: NDArray[np.bool_]
    truth: NDArray[np.bool_] | None
    prediction: NDArray[np.bool_]


def load_views(store: Store, case_id: str, prediction: Path) -> ScanViews:
    """Read a case and bring its prediction from the native grid onto the store's.

    Raises:
        PlggError: If one of them cannot be read.
    """
    codes = store.image(case_id)
    truth = store.mask(case_id)
    placement = store.placement(case_id)
    mask = read_volume(prediction)
    found = resample(mask.data, placement.native_from_box(), placement.box_shape)
    return ScanViews(
        image=decode(codes),
        brain=codes != OUTSIDE,
        truth=None if truth is None else truth > 0,
        prediction=found >= 0.5,
    )


def scan_figure(views: ScanViews) -> Figure:
    """Three planes through the largest slice of the tumour, the patient's right on the left."""
    box = bounding_box(views.brain, margin=2) if views.brain.any() else (slice(None),) * 3
    cuts = [at - (part.start or 0) for at, part in zip(_centre(views), box, strict=True)]
    image = np.where(views.brain, views.image, _GREY[0])[box]
    planes = [_plane(image, axis, cuts[axis]) for axis, _, _ in _PLANES]
    # All planes are drawn equally high, and the figure is as high as they need.
    widths = [plane.shape[1] / plane.shape[0] for plane in planes]
    height = _WIDTH / sum(widths) + _TITLE
    figure = Figure(figsize=(_WIDTH, height), facecolor="black")
    grid = figure.subplots(1, 3, width_ratios=widths)
    figure.subplots_adjust(left=0, right=1, top=1 - _TITLE / height, bottom=0, wspace=0)
    for axes, plane, (axis, name, sides) in zip(grid, planes, _PLANES, strict=True):
        axes.imshow(plane, cmap="gray", vmin=_GREY[0], vmax=_GREY[1], interpolation="bicubic")
        if views.truth is not None:
            _outline(axes, _plane(views.truth[box], axis, cuts[axis]), TRUTH, 1.8)
        _outline(axes, _plane(views.prediction[box], axis, cuts[axis]), PREDICTION, 1.1)
        _label(axes, name, sides)
    return figure


def _centre(views: ScanViews) -> tuple[int, int, int]:
    """Along each axis the slice that holds most of the truth, else of the prediction."""
    marked = (m for m in (views.truth, views.prediction) if m is not None and m.any())
    mask = next(marked, None)
    if mask is None:
        i, j, k = (int(n) // 2 for n in views.image.shape)
        return i, j, k
    i, j, k = (int(mask.sum(axis=o).argmax()) for o in ((1, 2), (0, 2), (0, 1)))
    return i, j, k


def _plane(data: NDArray[Any], axis: int, cut: int) -> NDArray[Any]:
    """A plane with anterior or superior up."""
    plane: NDArray[Any] = np.take(data, cut, axis=axis).T
    return plane if axis == 2 else plane[::-1]


def _outline(axes: Axes, plane: NDArray[np.bool_], colour: str, width: float) -> None:
    if plane.any() and not plane.all():
        axes.contour(plane.astype(float), levels=[0.5], colors=[colour], linewidths=width)


def _label(axes: Axes, name: str, sides: str) -> None:
    axes.axis("off")
    axes.set_title(name, color="#aeb8c1", fontsize=9.5, pad=4)
    for x, side, align in ((0.02, sides[0], "left"), (0.98, sides[1], "right")):
        axes.text(
            x, 0.97, side, transform=axes.transAxes, color="#8b959e", fontsize=9, ha=align, va="top"
        )


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
    facts: Facts
    picture: Picture | None
    problem: str | None = None


def example_arms(experiment: Experiment) -> tuple[str, ...]:
    """The arms whose cases are shown: those that predict markers, else the last."""
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
    mask = run.folder / "predictions" / "test" / case.case_id / MASK
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


def _facts(run: Run, case: CaseScores, n_splits: int) -> Facts:
    facts = [
        ("Dice", number(case.dice)),
        ("Volume", f"{number(case.volume_ml, 1)} mL"),
        ("Predicted", f"{number(case.predicted_volume_ml, 1)} mL"),
    ]
    if case.probabilities:
        facts += [("Marker", case.marker or "unknown"), ("Prediction", _predicted(case))]
    if n_splits > 1:
        facts.append(("Split", str(run.split + 1)))
    return tuple(facts)


def _predicted(case: CaseScores) -> str:
    """The predicted class with its probability, and the true one's where that is another."""
    p = case.probabilities
    predicted = case.predicted_marker or max(p, key=p.__getitem__)
    text = f"{predicted} ({number(p.get(predicted), 2)})"
    if case.marker and case.marker != predicted:
        text += f"; {case.marker} {number(p.get(case.marker), 2)}"
    return text
