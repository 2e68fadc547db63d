"""The `Calibration` of a run, fitted on the raw predictions of its validation patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from plgg.config import InferenceConfig, Label
from plgg.core.progress import Progress
from plgg.data.calibration import Calibration, MaskRule, TaskRule, TrainingDistribution, VolumeRule
from plgg.data.manifest import Case
from plgg.predict.calibrate.marker_rule import fit_marker_rule
from plgg.predict.calibrate.mask import MaskScores, Options, fit_mask, mask_options
from plgg.predict.calibrate.validation_scan import ValidationScan, read_masks, read_scan
from plgg.predict.calibrate.volume_rule import fit_volume
from plgg.predict.marker import MarkerModels
from plgg.tasks.base import AuxiliaryTask


def choose_mask_rule(
    predictions: Path, cases: Sequence[Case], settings: InferenceConfig, progress: Progress
) -> MaskRule:
    """Choose the mask rule (threshold, smallest component) as `fit_calibration` will.

    Args:
        predictions: Raw predictions of the validation scans, a folder each.
        cases: These scans, with their masks where there are any.
        settings: Threshold and smallest component are chosen only where these do not set them.
        progress: Called after each scan.

    Raises:
        InputError: If a prediction or a true mask is missing, broken, or on another grid.
    """
    options, scores = mask_options(settings), []
    for done, case in enumerate(cases, start=1):
        whole, _ = read_masks(predictions / case.case_id, case, options)
        scores += [whole] if whole else []
        progress(done, len(cases))
    return fit_mask(scores, options)[0]


def fit_calibration(  # noqa: PLR0913 - each part needs its own, and only one place calls it
    predictions: Path,
    cases: Sequence[Case],
    models: Mapping[str, MarkerModels],
    *,
    settings: InferenceConfig,
    model_sha256: str,
    classes: Sequence[str],
    familiarity: TrainingDistribution | None,
    tasks: Mapping[str, AuxiliaryTask] | None = None,
    labels: Sequence[Label] = (),
    progress: Progress | None = None,
) -> Calibration:
    """Fit the calibration of a run to its validation patients.

    Args:
        predictions: Raw predictions of the validation scans, a folder each.
        cases: These scans, with their true values where known.
        models: For each of these scans, the marker models without a network, fitted to the
            training part of the run that predicted it. The first scan's are kept.
        settings: Threshold and smallest component are chosen only where these do not set them.
        model_sha256: Hash of the network's weights.
        classes: Of the marker, in the network's order.
        familiarity: Distribution of the training features; kept as it is.
        tasks: Auxiliary tasks of the network.
        labels: Of the network, the whole tumour first; empty where it has no regions.
        progress: Called after each scan.

    Raises:
        InputError: If a prediction or a true mask is missing, broken, or on another grid.
    """
    options = mask_options(settings)
    scans: list[ValidationScan] = []
    for case in cases:
        scans.append(read_scan(predictions, case, options, classes, tasks, labels))
        if progress:
            progress(len(scans), len(cases))
    masks = [scan.mask for scan in scans if scan.mask]
    mask_rule, chosen = fit_mask(masks, options)
    own = models[cases[0].case_id] if cases else MarkerModels()
    return Calibration(
        model_sha256=model_sha256,
        mask=mask_rule,
        volume=_volume_rule(masks, chosen),
        marker=fit_marker_rule([scan.marker for scan in scans if scan.marker], models, settings),
        clinical=own.clinical,
        familiarity=familiarity,
        radiomics=own.forest,
        tasks=_task_rules(scans, tasks or {}),
        labels={label.name: _label_rule(label, scans, options) for label in labels[1:]},
    )


def _label_rule(label: Label, scans: Sequence[ValidationScan], options: Options) -> MaskRule:
    """The mask rule of a region; the default where too few masks annotate it."""
    return fit_mask([s.labels[label.name] for s in scans if label.name in s.labels], options)[0]


def _volume_rule(masks: Sequence[MaskScores], chosen: tuple[int, int]) -> VolumeRule | None:
    return fit_volume(
        np.array([scan.true_ml for scan in masks]),
        np.array([scan.volume_ml[chosen] for scan in masks]),
        [scan.patient_id for scan in masks],
    )


def _task_rules(
    scans: Sequence[ValidationScan], tasks: Mapping[str, AuxiliaryTask]
) -> dict[str, TaskRule]:
    """Fit the calibration of each task, where there are enough scans."""
    rules = {}
    for name, task in tasks.items():
        known = [(*scan.tasks[name], scan.patient_id) for scan in scans if name in scan.tasks]
        if not known:
            continue
        answers, texts, patients = zip(*known, strict=True)
        numbers = task.calibrate(np.array(answers), texts, patients)
        if numbers is not None:
            rules[name] = TaskRule(kind=task.record.kind, numbers=numbers, n=len(texts))
    return rules
