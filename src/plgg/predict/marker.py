"""Who names the marker: the network, a forest on radiomics, or those and clinical data combined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from plgg.data.calibration import Calibration, ClinicalModel, ForestModel, MarkerRule, MarkerSource
from plgg.measure.clinical import clinical_probabilities, inputs_of
from plgg.measure.forest import forest_probabilities
from plgg.metrics.calibration import with_temperature
from plgg.tasks.base import Array

NETWORK: Literal["network"] = "network"
RADIOMICS: Literal["radiomics"] = "radiomics"
COMBINED: Literal["combined"] = "combined"


@dataclass(frozen=True)
class MarkerModels:
    """What a run's training patients teach without a network.

    Attributes:
        clinical: From age, sex, place and volume; None where they are too few.
        forest: From radiomics, likewise.
    """

    clinical: ClinicalModel | None = None
    forest: ForestModel | None = None

    def fields(self) -> dict[str, ClinicalModel | ForestModel | None]:
        """As a `Calibration` names them."""
        return {"clinical": self.clinical, "radiomics": self.forest}


def marker_sources(
    network: Array, models: MarkerModels, features: Mapping[str, float]
) -> dict[MarkerSource, Array]:
    """Probabilities of the classes by source; what cannot be told is left out.

    Args:
        network: Of the network, after its own temperature, shape (classes,).
        models: Of the run that the network comes from.
        features: Of the outlined tumour (`plgg.measure.radiomics`).
    """
    found: dict[MarkerSource, Array] = {NETWORK: network}
    if models.forest is None:
        return found
    found[RADIOMICS] = np.array(list(forest_probabilities(models.forest, features).values()))
    if models.clinical is not None:
        said = clinical_probabilities(models.clinical, inputs_of(features))
        clinical = np.array(list(said.values()))
        found[COMBINED] = np.mean([network, found[RADIOMICS], clinical], axis=0)
    return found


@dataclass(frozen=True, eq=False)
class MarkerAnswer:
    """What an ensemble says of the marker.

    Attributes:
        probabilities: Mean of the members' answers, shape (classes,).
        sources: Mean of what each source says; of those alone that every member has.
    """

    probabilities: Array
    sources: dict[MarkerSource, Array]


def marker_answer(
    raw: Sequence[Array | None],
    calibrations: Sequence[Calibration | None],
    features: Mapping[str, float],
) -> MarkerAnswer | None:
    """The answer of all members; None if none of them names markers.

    Args:
        raw: Probabilities by each member's network, at a temperature of 1; None for a member that
            names none.
        calibrations: Of each member.
        features: Of the outlined tumour.
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
    """The temperature of the network alone; 1 without a rule."""
    return (rule.network_temperature or rule.temperature) if rule else 1.0


def calibrated_sources(
    raw: Array, calibration: Calibration | None, features: Mapping[str, float]
) -> tuple[Array, dict[MarkerSource, Array]]:
    """A member's answer, and what each of its sources says.

    Args:
        raw: Probabilities of its network, at a temperature of 1.
        calibration: Its own; None for the raw answer.
        features: Of the outlined tumour.
    """
    rule = calibration.marker if calibration else None
    network = with_temperature(raw, own_temperature(rule))
    if calibration is None:
        return network, {NETWORK: network}
    models = MarkerModels(calibration.clinical, calibration.radiomics)
    sources = marker_sources(network, models, features)
    if rule is None or rule.source not in sources or rule.source == NETWORK:
        return network, sources
    return with_temperature(sources[rule.source], rule.temperature), sources
