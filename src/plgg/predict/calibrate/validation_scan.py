"""Compare the prediction of a validation scan with the true mask, marker and targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plgg.config import MARKER, Label
from plgg.core.errors import InputError
from plgg.core.prediction_files import PROBABILITY, RESULT
from plgg.core.volume import Volume, same_grid
from plgg.data.labels import true_regions
from plgg.data.manifest import Case, target_text
from plgg.data.nifti.image import read_volume
from plgg.data.result import Marker, Result, probability_file, read_result
from plgg.measure.outline import DEFAULT_THRESHOLD, outlined
from plgg.predict.calibrate.mask import MaskScores, Options, score_mask
from plgg.tasks.base import AuxiliaryTask


@dataclass(frozen=True, eq=False)
class NamedMarker:
    """Predicted and true marker of a scan.

    Attributes:
        probabilities: Of the classes by the network, in its order.
        truth: Index of the true class.
        features: Radiomics of the segmented tumour.
        case_id: The case.
    """

    probabilities: tuple[float, ...]
    truth: int
    features: Mapping[str, float] = field(default_factory=dict)
    case_id: str = ""


@dataclass(frozen=True, eq=False)
class ValidationScan:
    """One scan; `mask` and `marker` are None where the truth or the prediction is missing.

    `tasks` holds answers and true values of further tasks, `labels` the scores of regions within
    the tumour by name, both only where the truth is known.
    """

    mask: MaskScores | None
    marker: NamedMarker | None
    patient_id: str = ""
    tasks: Mapping[str, tuple[NDArray[np.float64], str]] = field(default_factory=dict)
    labels: Mapping[str, MaskScores] = field(default_factory=dict)


def read_scan(
    predictions: Path,
    case: Case,
    options: Options,
    classes: Sequence[str],
    tasks: Mapping[str, AuxiliaryTask] | None = None,
    labels: Sequence[Label] = (),
) -> ValidationScan:
    """Read the prediction of a scan and compare it with the truth.

    Raises:
        InputError: If a file is missing or cannot be read, lies on another grid than the truth, or
            its marker is of other classes or was calibrated already.
    """
    folder = predictions / case.case_id
    path = folder / RESULT
    result = read_result(path)
    whole, inner = read_masks(folder, case, options, labels)
    return ValidationScan(
        whole,
        _marker(result, case, classes, where=path),
        case.patient_id,
        _tasks(result, case, tasks or {}),
        inner,
    )


def read_masks(
    folder: Path, case: Case, options: Options, labels: Sequence[Label] = ()
) -> tuple[MaskScores | None, dict[str, MaskScores]]:
    """Score the whole tumour, and the regions within it that the mask annotates.

    Raises:
        InputError: If a file is missing or cannot be read, or lies on another grid than the truth.
    """
    if case.mask is None:
        return None, {}
    drawn = read_volume(case.mask)
    truth = drawn.with_data(drawn.data > 0)
    probability = _probability(folder / PROBABILITY, truth, case)
    whole = _scored(probability, truth, case, options)
    if len(labels) < 2:
        return whole, {}
    within, inner = outlined(probability, options.set_threshold or DEFAULT_THRESHOLD), {}
    known = true_regions(case, labels, drawn)
    for label in labels[1:]:
        if label.name in known:
            found = _probability(folder / probability_file(label), truth, case)
            found = np.where(within, found, np.float32(0.0))
            inner[label.name] = _scored(found, known[label.name], case, options)
    return whole, inner


def _probability(path: Path, truth: Volume, case: Case) -> NDArray[np.float32]:
    probability = read_volume(path)
    if not same_grid(probability, truth):
        raise InputError(
            "the probability does not lie on the grid of the true mask",
            where=case.case_id,
            remedy="Draw the mask on the scan itself, or leave its cell in the manifest blank.",
        )
    return probability.data


def _scored(
    probability: NDArray[np.float32], truth: Volume, case: Case, options: Options
) -> MaskScores:
    return score_mask(
        probability,
        np.asarray(truth.data, dtype=np.bool_),
        options,
        voxel_volume_ml=truth.voxel_volume_ml,
        patient_id=case.patient_id,
    )


def _marker(
    result: Result, case: Case, classes: Sequence[str], *, where: Path
) -> NamedMarker | None:
    named = result.marker
    if named is None or case.marker is None:
        return None
    _require_raw(named, classes, where)
    if case.marker not in classes:
        raise InputError(
            f"has the marker {case.marker}, the model knows {', '.join(classes)}",
            where=case.case_id,
            remedy="Blank its marker, or train on a store of all classes.",
        )
    chances = tuple(named.probabilities[name] for name in classes)
    return NamedMarker(chances, list(classes).index(case.marker), result.radiomics, case.case_id)


def _tasks(
    result: Result, case: Case, tasks: Mapping[str, AuxiliaryTask]
) -> dict[str, tuple[NDArray[np.float64], str]]:
    """Raw answers and truths of the tasks whose target is known."""
    truths = {name: target_text(case, task.record.column) for name, task in tasks.items()}
    known = {name: text for name, text in truths.items() if text is not None and name != MARKER}
    return {
        name: (tasks[name].recall(result.tasks[name]), text)
        for name, text in known.items()
        if name in result.tasks
    }


def _require_raw(named: Marker, classes: Sequence[str], path: Path) -> None:
    if named.calibrated or set(named.probabilities) != set(classes):
        raise InputError(
            f"is no raw prediction of the classes {', '.join(classes)}",
            where=path,
            remedy="Delete the folder and repeat plgg train.",
        )
