"""Validation: whole brains in one pass, Dice for each patient, and how the marker head fares."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plgg.config import InferenceConfig
from plgg.data.store import Store
from plgg.metrics.classification import macro_auc
from plgg.metrics.overlap import hard_dice, soft_dice
from plgg.model.device import Runtime
from plgg.model.network import MultitaskNet, patient_logits
from plgg.predict.engine import Engine
from plgg.predict.engines.load import torch_engine
from plgg.predict.whole_brain import predict_box
from plgg.train.distributed import Team

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
    team: Team | None = None,
) -> Scores:
    """Mean hard and soft Dice on the store's grid, and the marker's AUC and loss.

    Returns:
        `dice`, `soft_dice`, `marker_auc`, `marker_loss`, each None where nothing is known to
        measure it by, and `marker_collapsed` for a multitask network.

    Raises:
        FloatingPointError: If an answer is NaN.
    """
    team = team or Team()
    engine = torch_engine(network.eval(), runtime)
    dealt = cases[team.rank :: team.size]
    mine = [_judged(network, engine, store, case, settings) for case in dealt]
    judged = sorted(team.gather(mine), key=lambda found: found.case_id)
    hard = [found.hard for found in judged if found.hard is not None]
    soft = [found.soft for found in judged if found.soft is not None]
    named = [found for found in judged if found.marker is not None and found.truth is not None]
    scores: Scores = {"dice": _mean(hard), "soft_dice": _mean(soft)}
    return scores | _marker_scores(
        np.array([found.marker for found in named]),
        np.array([found.truth for found in named], dtype=np.int64),
    )


@dataclass(frozen=True)
class _Judged:
    """One patient's scores; None where nothing is known to measure by."""

    case_id: str
    hard: float | None
    soft: float | None
    marker: NDArray[np.float64] | None
    truth: int | None


def _judged(
    network: MultitaskNet, engine: Engine, store: Store, case_id: str, settings: InferenceConfig
) -> _Judged:
    case = store.by_id[case_id]
    answer = predict_box(
        engine,
        store.image(case_id),
        settings,
        known=patient_logits(network, case.age_years, case.sex),
        measure=False,
    )
    if np.isnan(answer.tumour).any() or (
        answer.marker is not None and np.isnan(answer.marker).any()
    ):
        raise FloatingPointError(f"the network's answer for {case_id} is not a number")
    threshold = _THRESHOLD if settings.threshold is None else settings.threshold
    mask = store.mask(case_id)
    marker = case.marker
    return _Judged(
        case_id,
        None if mask is None else hard_dice(answer.tumour >= threshold, mask > 0),
        None if mask is None else soft_dice(answer.tumour, mask > 0),
        answer.marker,
        store.cohort.classes.index(marker) if marker is not None else None,
    )


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
