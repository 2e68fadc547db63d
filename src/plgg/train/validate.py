"""Validation: whole brains in one pass, Dice for each patient, and how the marker head fares."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from plgg.config import InferenceConfig
from plgg.infer.engine import predict_box
from plgg.infer.engines import torch_engine
from plgg.io.store import Store
from plgg.metrics import hard_dice, macro_auc, soft_dice
from plgg.model.device import Runtime
from plgg.model.network import MultitaskNet

log = logging.getLogger(__name__)

Scores = dict[str, float | bool | None]
# Until a run is trained, nothing tells which threshold serves its patients best.
_THRESHOLD = 0.5
# Probabilities that differ less than this between patients are one constant answer.
_CONSTANT = 1e-3


def validate(
    network: MultitaskNet,
    store: Store,
    cases: Sequence[str],
    *,
    runtime: Runtime,
    settings: InferenceConfig,
) -> Scores:
    """Mean hard and soft Dice on the store's grid, and the marker's AUC and loss.

    Returns:
        `dice`, `soft_dice`, `marker_auc`, `marker_loss`, each None where nothing is known to
        measure it by, and `marker_collapsed` for a multitask network.

    Raises:
        FloatingPointError: If an answer is NaN.
    """
    engine = torch_engine(network.eval(), runtime)
    threshold = _THRESHOLD if settings.threshold is None else settings.threshold
    hard: list[float] = []
    soft: list[float] = []
    probabilities: list[NDArray[np.float64]] = []
    truths: list[int] = []
    for case_id in cases:
        answer = predict_box(engine, store.image(case_id), settings, measure=False)
        if np.isnan(answer.tumour).any() or (
            answer.marker is not None and np.isnan(answer.marker).any()
        ):
            raise FloatingPointError(f"the network's answer for {case_id} is not a number")
        mask = store.mask(case_id)
        if mask is not None:
            hard.append(hard_dice(answer.tumour >= threshold, mask > 0))
            soft.append(soft_dice(answer.tumour, mask > 0))
        marker = store.by_id[case_id].marker
        if answer.marker is not None and marker is not None:
            probabilities.append(answer.marker)
            truths.append(store.cohort.classes.index(marker))
    scores: Scores = {"dice": _mean(hard), "soft_dice": _mean(soft)}
    return scores | _marker_scores(np.array(probabilities), np.array(truths, dtype=np.int64))


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
