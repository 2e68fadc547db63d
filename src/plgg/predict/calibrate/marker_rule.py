"""The marker rule: source of the probabilities, their temperature, and when to abstain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from plgg.config import InferenceConfig
from plgg.data.calibration import MarkerRule, MarkerSource
from plgg.metrics.calibration import (
    apply_temperature,
    calibration_error,
    confidence_and_hits,
    fit_temperature,
    log_probabilities,
    negative_log_likelihood,
    reliability_bins,
    risk_coverage,
    threshold_for_risk,
)
from plgg.predict.calibrate.validation_scan import NamedMarker
from plgg.predict.marker import COMBINED, NETWORK, RADIOMICS, MarkerModels, marker_sources

# Fewest scans to fit a temperature and a threshold to.
FEWEST_SCANS = 5
# Fewest scans to choose the best source by.
_FEWEST_TO_CHOOSE = 30


def fit_marker(
    probabilities: NDArray[np.float64], truth: NDArray[np.int64], *, target_risk: float
) -> MarkerRule | None:
    """Fit the temperature, then choose the confidence from which on to answer.

    The measures are those on the scans of the fit, hence a little optimistic; unbiased ones come
    from the test patients.

    Args:
        probabilities: Before temperature scaling, shape (n, classes).
        truth: Class indices, shape (n,).
        target_risk: Share of wrong answers that is accepted.

    Returns:
        The rule; None for fewer than 5 scans.
    """
    if len(truth) < FEWEST_SCANS:
        return None
    # Four decimals, so that equal inputs give equal files on all machines.
    temperature = round(fit_temperature(log_probabilities(probabilities), truth), 4)
    scaled = apply_temperature(probabilities, temperature)
    before = reliability_bins(*confidence_and_hits(probabilities, truth))
    after = reliability_bins(*confidence_and_hits(scaled, truth))
    curve = risk_coverage(*confidence_and_hits(scaled, truth))
    chosen = threshold_for_risk(curve, target_risk)
    return MarkerRule(
        temperature=temperature,
        target_risk=target_risk,
        answer_from=chosen.threshold if chosen else None,
        coverage=chosen.coverage if chosen else 0.0,
        risk=chosen.risk if chosen else None,
        ece_before=calibration_error(before),
        ece_after=calibration_error(after),
        nll_before=negative_log_likelihood(probabilities, truth),
        nll_after=negative_log_likelihood(scaled, truth),
        bins_before=before,
        bins_after=after,
        curve=curve,
        n=len(truth),
    )


def fit_marker_rule(
    named: Sequence[NamedMarker], models: Mapping[str, MarkerModels], settings: InferenceConfig
) -> MarkerRule | None:
    """Fit the rule of the source that the settings name, or of the best one."""
    truth = np.array([scan.truth for scan in named], dtype=np.int64)
    raw = np.array([scan.probabilities for scan in named])
    network = fit_marker(raw, truth, target_risk=settings.target_risk)
    if network is None or settings.marker_from == NETWORK:
        return network
    sources = [
        marker_sources(
            apply_temperature(np.array(scan.probabilities), network.temperature),
            models[scan.case_id],
            scan.features,
        )
        for scan in named
    ]
    rules: dict[MarkerSource, MarkerRule] = {NETWORK: network}
    for name in (RADIOMICS, COMBINED):
        if all(name in found for found in sources):
            rows = np.array([found[name] for found in sources])
            rule = fit_marker(rows, truth, target_risk=settings.target_risk)
            if rule is not None:
                rules[name] = rule
    source = _wanted(rules, settings.marker_from, n=len(named))
    if source == NETWORK:
        return network
    update = {
        "source": source,
        "network_temperature": network.temperature,
        "log_loss": {name: rule.nll_after for name, rule in rules.items()},
    }
    return rules[source].model_copy(update=update)


def _wanted(
    rules: Mapping[MarkerSource, MarkerRule],
    asked: Literal["network", "radiomics", "combined", "best"],
    *,
    n: int,
) -> MarkerSource:
    if asked != "best":
        return asked if asked in rules else NETWORK
    if n < _FEWEST_TO_CHOOSE:
        return NETWORK
    return min(rules, key=lambda name: rules[name].nll_after)
