"""Validation on whole brains: Dice of the patients, and scores of the marker and other tasks."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plgg.config import MARKER, InferenceConfig, Label, LossConfig, Threshold
from plgg.data.inputs import FLAIR, Inputs, one_hot
from plgg.data.labels import merge_masks, region
from plgg.data.manifest import target_text
from plgg.data.store import Store
from plgg.measure.outline import DEFAULT_THRESHOLD, outlined
from plgg.metrics.classification import macro_auc
from plgg.metrics.overlap import hard_dice, soft_dice
from plgg.model.device import Runtime
from plgg.model.network import MultitaskNet, patient_outputs
from plgg.predict.engine import Engine, with_marker
from plgg.predict.engines.load import torch_engine
from plgg.predict.whole_brain import BoxPrediction, predict_box
from plgg.tasks.base import AuxiliaryTask
from plgg.tasks.kinds import marker_record, restore_tasks
from plgg.train.distributed import ProcessGroup

log = logging.getLogger(__name__)

Scores = dict[str, Any]
# Probabilities that differ less than this between patients are one constant answer.
_CONSTANT = 1e-3


def validate(
    network: MultitaskNet,
    store: Store,
    cases: Sequence[str],
    *,
    runtime: Runtime,
    settings: InferenceConfig,
    group: ProcessGroup | None = None,
    tasks: Mapping[str, AuxiliaryTask] | None = None,
    inputs: Inputs = FLAIR,
) -> Scores:
    """Mean hard and soft Dice on the store's grid, and metrics of the other tasks.

    Args:
        network: On its device.
        store: Store of the cases.
        cases: Of the validation part.
        runtime: Device and precision.
        settings: Inference settings.
        group: The processes that share the cases.
        inputs: Input channels of the network.
        tasks: Auxiliary tasks of the network; by default the marker of the store's classes.

    Returns:
        `dice`, `soft_dice`, `marker_auc`, `marker_loss`, each None where no truth is known, and
        `marker_collapsed` if any marker was predicted whose truth is known; with further tasks,
        `tasks` with the metrics of each by name, and with labels, `labels` with the hard Dice of
        each by name. Checkpoints are selected by `dice`, which is that of the whole tumour.

    Raises:
        FloatingPointError: If an output is NaN.
    """
    group = group or ProcessGroup()
    tasks = _default_tasks(network, store) if tasks is None else tasks
    engine = torch_engine(network.eval(), runtime)
    dealt = cases[group.rank :: group.size]
    ask = partial(_score_patient, network, engine, store, settings, tasks, inputs)
    mine = [ask(case) for case in dealt]
    judged = sorted(group.gather(mine), key=lambda found: found.case_id)
    hard = [found.hard for found in judged if found.hard is not None]
    soft = [found.soft for found in judged if found.soft is not None]
    regions = {
        label.name: _mean(
            [found.regions[label.name] for found in judged if label.name in found.regions]
        )
        for label in inputs.labels
    }
    named = [found for found in judged if MARKER in found.tasks]
    scores: Scores = {"dice": _mean(hard), "soft_dice": _mean(soft)}
    scores |= _marker_scores(
        np.array([found.tasks[MARKER][0] for found in named]),
        np.array([tasks[MARKER].encode(found.tasks[MARKER][1]) for found in named], dtype=np.int64),
    )
    others = {
        name: _task_scores(task, [found.tasks[name] for found in judged if name in found.tasks])
        for name, task in tasks.items()
        if name != MARKER
    }
    scores |= {"labels": regions} if regions else {}
    return scores | ({"tasks": others} if others else {})


def _default_tasks(network: MultitaskNet, store: Store) -> dict[str, AuxiliaryTask]:
    if MARKER not in network.auxiliary:
        return {}
    return restore_tasks({MARKER: marker_record(store.cohort.classes)}, LossConfig())


def _task_scores(
    task: AuxiliaryTask, found: Sequence[tuple[NDArray[np.float64], str]]
) -> dict[str, float]:
    answers = [task.describe(answer, ()) for answer, _ in found]
    return task.scores(answers, [text for _, text in found])


@dataclass(frozen=True)
class _PatientScores:
    """Scores of one case; None where its mask is unknown.

    `tasks` are answers and truths, where the latter are known; `regions` the hard Dice of labels.
    """

    case_id: str
    hard: float | None
    soft: float | None
    tasks: dict[str, tuple[NDArray[np.float64], str]]
    regions: dict[str, float]


def _score_patient(
    network: MultitaskNet,
    engine: Engine,
    store: Store,
    settings: InferenceConfig,
    tasks: Mapping[str, AuxiliaryTask],
    inputs: Inputs,
    case_id: str,
) -> _PatientScores:
    case = store.by_id[case_id]
    if inputs.marker_planes:
        engine = with_marker(engine, one_hot(case.marker, store.cohort.classes))
    answer = predict_box(
        engine,
        store.channels(case_id, inputs.channels),
        settings,
        known=patient_outputs(network, case.age_years, case.sex),
        measure=False,
        tasks=tasks,
        offsets=inputs.offsets(store.placement(case_id).slice_mm),
    )
    said: list[NDArray[Any]] = [answer.tumour, *answer.tasks.values()]
    if any(np.isnan(values).any() for values in said):
        raise FloatingPointError(f"the network's answer for {case_id} is not a number")
    # The best threshold is chosen only after the training.
    threshold = settings.threshold or DEFAULT_THRESHOLD
    mask = store.mask(case_id)
    truths = {name: target_text(case, task.record.column) for name, task in tasks.items()}
    return _PatientScores(
        case_id,
        None if mask is None else hard_dice(outlined(answer.tumour, threshold), mask > 0),
        None if mask is None else soft_dice(answer.tumour, mask > 0),
        {name: (answer.tasks[name], text) for name, text in truths.items() if text is not None},
        _regions(answer, store, case_id, inputs.labels, threshold),
    )


def _regions(
    answer: BoxPrediction, store: Store, case_id: str, labels: Sequence[Label], threshold: Threshold
) -> dict[str, float]:
    """Hard Dice of the labels that a case's mask annotates."""
    numbers, made = store.labels(case_id) if labels else None, store.cohort.labels
    if numbers is None:
        return {}
    outlines = answer.tumour[None]
    if answer.inner is not None:
        outlines = np.concatenate([outlines, answer.inner])
    said = merge_masks([outlined(one, threshold) for one in outlines], labels)
    return {
        label.name: hard_dice(region(said, labels, n), region(numbers, made, made.index(label)))
        for n, label in enumerate(labels)
        if label.name in store.by_id[case_id].labels
    }


def _marker_scores(probabilities: NDArray[np.float64], truths: NDArray[np.int64]) -> Scores:
    if not len(truths):
        return {"marker_auc": None, "marker_loss": None}
    likelihood = probabilities[np.arange(len(truths)), truths]
    collapsed = bool(len(truths) > 1 and np.ptp(probabilities, axis=0).max() < _CONSTANT)
    if collapsed:
        log.warning("the marker head gives every patient the same answer: it has collapsed")
    return {
        "marker_auc": macro_auc(truths, probabilities),
        "marker_loss": float(-np.log(np.maximum(likelihood, 1e-12)).mean()),
        "marker_collapsed": collapsed,
    }


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None
