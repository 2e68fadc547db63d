"""From what the networks answered to the `Result`: measures, marker, certainty, warnings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from plgg.core.environment import versions
from plgg.core.progress import Clock
from plgg.core.volume import Volume
from plgg.data.quality import Quality, Verdict
from plgg.data.result import (
    RESEARCH_ONLY,
    Change,
    Input,
    Marker,
    Result,
    TaskResult,
    Uncertainty,
)
from plgg.measure.change import change
from plgg.measure.clinical import clinical_inputs, clinical_probabilities
from plgg.measure.components import components, without_small
from plgg.measure.diameters import diameters
from plgg.measure.uncertainty import agreement, expected_dice, volume_interval
from plgg.predict.ensemble import BoxAnswer, Ensemble
from plgg.predict.source import Loaded, Scan

_SHORT = (
    "the network saw the scan in windows for want of memory: the outline is less exact than in one "
    "pass"
)


@dataclass(frozen=True, eq=False)
class RawPrediction:
    """What was found in one scan.

    Attributes:
        loaded: The scan as the network saw it.
        box: The answer there.
        mask: Tumour on the native grid, boolean.
        tumour: Its probability there.
        clock: Seconds so far.
    """

    loaded: Loaded
    box: BoxAnswer
    mask: Volume
    tumour: Volume
    clock: Clock


@dataclass(frozen=True)
class Prior:
    """An earlier prediction of the same patient."""

    folder: Path
    result: Result


def describe(
    scan: Scan, digest: str, found: RawPrediction, networks: Ensemble, *, prior: Prior | None
) -> Result:
    """All that is said of a scan.

    Raises:
        InputError: If the earlier prediction is of another patient.
    """
    mask, loaded = found.mask, found.loaded
    with found.clock.step("measures"):
        volume_ml = round(float(mask.data.sum()) * mask.voxel_volume_ml, 4)
        interval = volume_interval(volume_ml, networks.volume_rule)
        lines = diameters(mask)
        parts = components(mask)
        uncertainty = _uncertainty(found, networks)
        marker = _marker(found, networks)
    result = Result(
        case_id=scan.case_id,
        patient_id=scan.patient_id,
        age_years=loaded.age_years,
        sex=loaded.sex,
        input=Input(
            path=str(scan.path),
            kind=scan.kind,
            sha256=digest,
            chosen=loaded.chosen,
            sequences=loaded.sequences,
        ),
        volume_ml=volume_ml,
        volume_interval=interval,
        components=parts,
        diameters=lines,
        uncertainty=uncertainty,
        change=None,
        marker=marker,
        tasks=_tasks(found, networks),
        familiarity=found.box.familiarity,
        quality=loaded.quality,
        threshold=networks.threshold,
        smallest_ml=networks.smallest_ml,
        models=tuple(member.model for member in networks.members),
        engine=networks.engine,
        inference=networks.inference,
        versions=versions(),
        seconds=dict(found.clock.seconds),
        warnings=_warnings(found, volume_ml),
        note=" ".join(filter(None, (RESEARCH_ONLY, networks.about))),
    )
    return result.model_copy(update={"change": _change(result, prior)})


def _change(result: Result, prior: Prior | None) -> Change | None:
    return change(result, prior.result, prior.folder) if prior else None


def _uncertainty(found: RawPrediction, networks: Ensemble) -> Uncertainty:
    views = [view >= networks.threshold for view in found.box.views]
    return Uncertainty(
        expected_dice=expected_dice(found.tumour.data, found.mask.data),
        n_views=len(views),
        agreement=agreement(views),
    )


def _marker(found: RawPrediction, networks: Ensemble) -> Marker | None:
    if found.box.marker is None:
        return None
    chances = dict(zip(networks.classes, map(float, found.box.marker), strict=True))
    best = networks.classes[int(np.argmax(found.box.marker))]
    reason = _withheld(chances[best], found.box.familiarity, networks)
    return Marker(
        classes=networks.classes,
        probabilities=chances,
        predicted=best,
        calibrated=networks.calibrated,
        withheld=reason is not None,
        statement=(
            f"Withheld: {reason}. A biopsy is needed to know."
            if reason
            else f"{best}, with a probability of {chances[best]:.0%}."
        ),
        clinical_only=_clinical_only(found, networks),
    )


def _tasks(found: RawPrediction, networks: Ensemble) -> dict[str, TaskResult]:
    """What is said of the tasks beside outline and marker."""
    results = {}
    for name, task in networks.further.items():
        said = task.describe(found.box.tasks[name], networks.rules(name))
        results[name] = TaskResult(
            kind=task.record.kind, column=task.record.column, **said.model_dump()
        )
    return results


def _withheld(confidence: float, familiarity: Verdict | None, networks: Ensemble) -> str | None:
    """Why the answer is not to be relied on, as a clause; None if it is."""
    if not networks.calibrated:
        return "the model's probabilities were never calibrated"
    if familiarity and familiarity.status == "failed":
        return "the scan is unlike any that the model was trained on"
    wanted = networks.answer_from
    if wanted is None:
        return "on its validation patients no confidence kept the errors as rare as asked"
    if confidence < wanted:
        return f"its confidence is {confidence:.0%}, and at least {wanted:.0%} are wanted"
    return None


def _clinical_only(found: RawPrediction, networks: Ensemble) -> dict[str, float] | None:
    """The baseline of those who never looked at the tumour's texture; needs age or sex."""
    model, loaded = networks.clinical, found.loaded
    if model is None or (loaded.age_years is None and loaded.sex is None):
        return None
    affine = np.array(loaded.prepared.placement.box_affine)
    tumour = Volume(found.box.tumour >= networks.threshold, affine)
    mask = without_small(
        tumour.data,
        voxel_volume_ml=tumour.voxel_volume_ml,
        smallest_ml=networks.smallest_ml,
    )
    inputs = clinical_inputs(mask, affine, age_years=loaded.age_years, sex=loaded.sex)
    return clinical_probabilities(model, inputs)


def _warnings(found: RawPrediction, volume_ml: float) -> tuple[str, ...]:
    loaded, familiarity = found.loaded, found.box.familiarity
    strange = familiarity is not None and familiarity.status != "good"
    return (
        *loaded.doubts,
        *_doubts(loaded.quality),
        *([familiarity.message] if familiarity and strange else []),
        *([_SHORT] if found.box.short_of_memory else []),
        *([] if volume_ml else ["no tumour was found"]),
    )


def _doubts(quality: Quality | None) -> list[str]:
    verdicts = quality.verdicts if quality else ()
    return [verdict.message for verdict in verdicts if verdict.status != "good"]
