"""Sources of the marker: the network, a forest on radiomics, or both with clinical data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from plgg.data.calibration import Calibration, ClinicalModel, ForestModel, MarkerRule, MarkerSource
from plgg.measure.clinical import clinical_probabilities, select_clinical_inputs
from plgg.measure.forest import forest_probabilities
from plgg.metrics.calibration import apply_temperature
from plgg.tasks.base import Array

NETWORK: Literal["network"] = "network"
RADIOMICS: Literal["radiomics"] = "radiomics"
COMBINED: Literal["combined"] = "combined"


@dataclass(frozen=True)
class MarkerModels:
    """Marker models without a network, fitted to a run's training patients.

    Attributes:
        clinical: On age, sex, position and volume; None where there are too few patients.
        forest: On radiomics, likewise.
    """

    clinical: ClinicalModel | None = None
    forest: ForestModel | None = None

    def fields(self) -> dict[str, ClinicalModel | ForestModel | None]:
        """The models by their field names in `Calibration`."""
        return {"clinical": self.clinical, "radiomics": self.forest}


def marker_sources(
    network: Array, models: MarkerModels, features: Mapping[str, float]
) -> dict[MarkerSource, Array]:
    """Probabilities of the classes by source; sources without a model are left out.

    Args:
        network: Of the network, after its own temperature, shape (classes,).
        models: Of the run that the network comes from.
        features: Radiomics of the segmented tumour (`plgg.measure.radiomics`).
    """
    found: dict[MarkerSource, Array] = {NETWORK: network}
    if models.forest is None:
        return found
    found[RADIOMICS] = np.array(list(forest_probabilities(models.forest, features).values()))
    if models.clinical is not None:
        said = clinical_probabilities(models.clinical, select_clinical_inputs(features))
        clinical = np.array(list(said.values()))
        found[COMBINED] = np.mean([network, found[RADIOMICS], clinical], axis=0)
    return found


@dataclass(frozen=True, eq=False)
class MarkerAnswer:
    """Marker probabilities of an ensemble.

    Attributes:
        probabilities: Mean of the members' answers, shape (classes,).
        sources: Mean of the members by source, for sources that every member has.
    """

    probabilities: Array
    sources: dict[MarkerSource, Array]


def marker_answer(
    raw: Sequence[Array | None],
    calibrations: Sequence[Calibration | None],
    features: Mapping[str, float],
) -> MarkerAnswer | None:
    """Combine the marker probabilities of all members; None if none has a marker head.

    Args:
        raw: Probabilities of each member's network, at a temperature of 1; None for a member
            without a marker head.
        calibrations: Of each member.
        features: Radiomics of the segmented tumour.
    """
    answers = [
        calibrated_sources(one, calibration, features)
        for one, calibration in zip(raw, calibrations, strict=True)
        if one is not None
    ]
    if not answers:
        return None
    common = [name for name in answers[0][1] if all(name in found for _, found in answers)]
    return MarkerAnswer(
        np.mean([answer for answer, _ in answers], axis=0),
        {name: np.mean([found[name] for _, found in answers], axis=0) for name in common},
    )


def own_temperature(rule: MarkerRule | None) -> float:
    """The temperature of the network's own probabilities; 1 without a rule."""
    return (rule.network_temperature or rule.temperature) if rule else 1.0


def calibrated_sources(
    raw: Array, calibration: Calibration | None, features: Mapping[str, float]
) -> tuple[Array, dict[MarkerSource, Array]]:
    """A member's calibrated probabilities, and those of each of its sources.

    Args:
        raw: Probabilities of its network, at a temperature of 1.
        calibration: Its own; None for the raw answer.
        features: Radiomics of the segmented tumour.
    """
    rule = calibration.marker if calibration else None
    network = apply_temperature(raw, own_temperature(rule))
    if calibration is None:
        return network, {NETWORK: network}
    models = MarkerModels(calibration.clinical, calibration.radiomics)
    sources = marker_sources(network, models, features)
    if rule is None or rule.source not in sources or rule.source == NETWORK:
        return network, sources
    return apply_temperature(sources[rule.source], rule.temperature), sources
