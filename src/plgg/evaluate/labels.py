"""Score the regions within the tumour (`plgg.data.labels`) against their true masks.

In the tables each region is a task of its name: the predicted value is its volume, and the scores
are Dice, surface distances and the volume error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from plgg.config import SEGMENTATION, Label
from plgg.core.errors import InputError
from plgg.core.volume import Volume
from plgg.data.check.mask import reorient_to_grid
from plgg.data.labels import region
from plgg.data.nifti.image import read_volume
from plgg.data.result import TaskAnswer
from plgg.evaluate.predictions import Prediction, ReportedResult
from plgg.evaluate.records import TaskScores
from plgg.metrics.overlap import hard_dice, volume_ml
from plgg.metrics.surface import surface_scores

KIND = SEGMENTATION


class LabelScorer:
    """The scorer of a region, whose metrics are all means over scans."""

    lower_is_better: frozenset[str] = frozenset({"hd95_mm"})

    def case_scores(self, answer: TaskAnswer, text: str, /) -> dict[str, float]:
        """Return nothing, because the table already holds the scores of a scan."""
        del answer, text
        return {}

    def metrics(self, answers: Sequence[TaskAnswer], texts: Sequence[str], /) -> dict[str, float]:
        """Return nothing, because all metrics are means over scans."""
        del answers, texts
        return {}


def reported_labels(said: ReportedResult | None) -> tuple[Label, ...]:
    """The regions of a result; empty where any value above 0 of a mask is the tumour."""
    return tuple(Label(name=one.name, values=one.values) for one in said.labels) if said else ()


def score_labels(
    prediction: Prediction, labels: Sequence[Label], truths: dict[str, Volume]
) -> dict[str, TaskScores]:
    """Scores of the regions within the tumour, by name.

    Args:
        prediction: The files of the prediction, with the map of labels.
        labels: The labels of the map, the whole tumour first.
        truths: The known true regions, by name.

    Raises:
        InputError: If there is no map, or its grid does not match that of the truth.
    """
    if len(labels) < 2:
        return {}
    if prediction.labels is None:
        raise InputError(
            "its result names several regions, and there is no labels.nii.gz",
            where=prediction.mask.parent,
            remedy="Predict this case again.",
        )
    numbers = read_volume(prediction.labels)
    return {
        label.name: _scored(numbers, labels, place, truths.get(label.name))
        for place, label in enumerate(labels)
        if place
    }


def _scored(
    numbers: Volume, labels: Sequence[Label], place: int, truth: Volume | None
) -> TaskScores:
    said = numbers.with_data(region(numbers.data, labels, place))
    said_ml = volume_ml(said.data, voxel_volume_ml=said.voxel_volume_ml)
    if truth is None:
        return TaskScores(kind=KIND, value=said_ml)
    placed = reorient_to_grid(said, truth)
    if placed is None:
        raise InputError(
            f"the label {labels[place].name} does not lie on the grid of the true mask",
            remedy="Predict the scan that the mask was drawn on.",
        )
    true_ml = volume_ml(truth.data, voxel_volume_ml=truth.voxel_volume_ml)
    surfaces = surface_scores(placed.data, truth.data, spacing_mm=truth.spacing_mm)
    scores: dict[str, Any] = {
        "dice": hard_dice(placed.data, truth.data),
        "hd95_mm": surfaces.hd95_mm,
        "surface_dice": surfaces.surface_dice,
        "volume_error_ml": said_ml - true_ml,
    }
    known = {name: value for name, value in scores.items() if value is not None}
    return TaskScores(kind=KIND, value=said_ml, truth=repr(true_ml), scores=known)
