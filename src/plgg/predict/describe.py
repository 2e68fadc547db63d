"""Build the `Result` of a scan from network outputs: measures, marker, uncertainty, warnings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import numpy as np

from plgg.core.environment import versions
from plgg.core.progress import Clock
from plgg.core.volume import Volume
from plgg.data.labels import region
from plgg.data.quality import Quality
from plgg.data.result import (
    RESEARCH_ONLY,
    Input,
    LabelResult,
    Marker,
    Result,
    TaskResult,
    ThresholdRule,
    Uncertainty,
)
from plgg.measure.change import change
from plgg.measure.clinical import clinical_probabilities, select_clinical_inputs
from plgg.measure.components import components
from plgg.measure.diameters import diameters
from plgg.measure.radiomics import radiomics_inputs
from plgg.measure.timeline import TimelineScan, latest, with_timeline
from plgg.measure.uncertainty import agreement, expected_dice, volume_interval
from plgg.predict.ensemble import Ensemble, EnsemblePrediction
from plgg.predict.marker import NETWORK, RADIOMICS, marker_answer
from plgg.predict.preparation import InferenceInput
from plgg.predict.source import Scan
from plgg.tasks.base import Array

_WINDOWED_WARNING = (
    "the network saw the scan in windows for want of memory: the outline is less exact than in one "
    "pass"
)


@dataclass(frozen=True, eq=False)
class RawPrediction:
    """Masks and probabilities of one scan on its native grid, before anything is measured.

    Attributes:
        loaded: Network input of the scan.
        box: Output of the ensemble on the brain box.
        mask: Tumour on the native grid, boolean.
        tumour: Its probability on the native grid.
        clock: Times of the steps so far.
        thresholds: Thresholds of the tumour's probability and of each region's within it.
        threshold_rule: How the tumour's threshold was chosen.
        inner: Probability of each region within the tumour, by name.
        numbers: Map of all regions (`plgg.data.labels`); None for a model without regions.
    """

    loaded: InferenceInput
    box: EnsemblePrediction
    mask: Volume
    tumour: Volume
    clock: Clock
    thresholds: tuple[float, ...]
    threshold_rule: ThresholdRule = "fixed"
    inner: dict[str, Volume] = field(default_factory=dict)
    numbers: Volume | None = None


def build_result(
    scan: Scan,
    digest: str,
    found: RawPrediction,
    networks: Ensemble,
    *,
    priors: Sequence[TimelineScan],
    scan_date: date | None,
) -> Result:
    """Build the result of one scan.

    Raises:
        InputError: If an earlier prediction is of another patient.
    """
    mask, loaded = found.mask, found.loaded
    with found.clock.step("measures"):
        volume_ml = round(float(mask.data.sum()) * mask.voxel_volume_ml, 4)
        interval = volume_interval(volume_ml, networks.volume_rule)
        lines = diameters(mask)
        parts = components(mask)
        uncertainty = _uncertainty(found)
        features = _features(found, networks)
        marker = _marker(found, networks, features)
    result = Result(
        case_id=scan.case_id,
        patient_id=scan.patient_id,
        age_years=loaded.age_years,
        sex=loaded.sex,
        scan_date=scan_date,
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
        labels=_labels(found, networks),
        radiomics=features,
        familiarity=found.box.familiarity,
        quality=loaded.quality,
        threshold=found.thresholds[0],
        threshold_rule=found.threshold_rule,
        smallest_ml=networks.smallest_ml(),
        models=tuple(member.model for member in networks.members),
        engine=networks.engine,
        inference=networks.inference,
        versions=versions(),
        seconds=dict(found.clock.seconds),
        warnings=unique_warnings(
            (*marker_input_warning(scan, networks), *_warnings(found, volume_ml))
        ),
        note=" ".join(filter(None, (RESEARCH_ONLY, networks.about))),
    )
    return _with_change(result, mask, priors)


def _with_change(result: Result, mask: Volume, priors: Sequence[TimelineScan]) -> Result:
    """Add the change since the latest earlier result; with several, also the timeline."""
    if not priors:
        return result
    prior = latest(priors, result.scan_date)
    changed = change(result, prior.result, prior.folder or Path(prior.name))
    result = result.model_copy(update={"change": changed})
    return with_timeline(result, mask, priors) if len(priors) > 1 else result


def _uncertainty(found: RawPrediction) -> Uncertainty:
    views = [view >= found.thresholds[0] for view in found.box.views]
    return Uncertainty(
        expected_dice=expected_dice(found.tumour.data, found.mask.data),
        n_views=len(views),
        agreement=agreement(views),
    )


def _marker(found: RawPrediction, networks: Ensemble, features: dict[str, float]) -> Marker | None:
    calibrations = [member.calibration for member in networks.members]
    answer = marker_answer(found.box.markers, calibrations, features)
    if answer is None:
        return None
    chances = _named(answer.probabilities, networks)
    best = networks.classes[int(np.argmax(answer.probabilities))]
    radiomics = answer.sources.get(RADIOMICS)
    reason = _abstention_reason(chances[best], found, networks)
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
        clinical_only=_clinical_only(found, networks, features),
        source=networks.marker_source,
        # Without other sources this would repeat the answer.
        network=_named(answer.sources[NETWORK], networks) if radiomics is not None else None,
        radiomics=_named(radiomics, networks) if radiomics is not None else None,
    )


def _named(probabilities: Array, networks: Ensemble) -> dict[str, float]:
    return dict(zip(networks.classes, map(float, probabilities), strict=True))


def _features(found: RawPrediction, networks: Ensemble) -> dict[str, float]:
    """Radiomics of the segmented tumour in the brain box."""
    loaded = found.loaded
    affine = np.array(loaded.prepared.placement.box_affine)
    whole = networks.threshold_mask(Volume(found.box.tumour, affine), threshold=found.thresholds[0])
    return radiomics_inputs(
        loaded.image[0], whole.mask, affine, age_years=loaded.age_years, sex=loaded.sex
    )


def _tasks(found: RawPrediction, networks: Ensemble) -> dict[str, TaskResult]:
    """Results of the tasks other than segmentation and marker."""
    results = {}
    for name, task in networks.other_tasks.items():
        said = task.describe(found.box.tasks[name], networks.rules(name))
        results[name] = TaskResult(
            kind=task.record.kind, column=task.record.column, **said.model_dump()
        )
    return results


def _labels(found: RawPrediction, networks: Ensemble) -> tuple[LabelResult, ...]:
    """The regions of the tumour and their volumes."""
    # A single label is the whole tumour, so the mask holds it; its values are kept in the result.
    numbers, labels = found.numbers or found.mask, networks.config.labels
    results = []
    for place, label in enumerate(labels):
        n_voxels = int(region(numbers.data, labels, place).sum())
        results.append(
            LabelResult(
                name=label.name,
                number=place + 1,
                values=label.values,
                volume_ml=round(n_voxels * numbers.voxel_volume_ml, 4),
                threshold=found.thresholds[place],
                smallest_ml=networks.smallest_ml(place),
            )
        )
    return tuple(results)


def _abstention_reason(confidence: float, found: RawPrediction, networks: Ensemble) -> str | None:
    """Why the marker is withheld, as a clause; None if it is not."""
    familiarity = found.box.familiarity
    if not found.mask.data.any():
        return "no tumour was found"
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


def _clinical_only(
    found: RawPrediction, networks: Ensemble, features: dict[str, float]
) -> dict[str, float] | None:
    """Marker probabilities of the clinical-only baseline; None unless age or sex is known."""
    model, loaded = networks.clinical, found.loaded
    if model is None or (loaded.age_years is None and loaded.sex is None):
        return None
    return clinical_probabilities(model, select_clinical_inputs(features))


def _warnings(found: RawPrediction, volume_ml: float) -> tuple[str, ...]:
    loaded, familiarity = found.loaded, found.box.familiarity
    strange = familiarity is not None and familiarity.status != "good"
    return (
        *loaded.doubts,
        *_doubts(loaded.quality),
        *([familiarity.message] if familiarity and strange else []),
        *([_WINDOWED_WARNING] if found.box.short_of_memory else []),
        *([] if volume_ml else ["no tumour was found"]),
    )


def unique_warnings(warnings: Sequence[str]) -> tuple[str, ...]:
    """Warnings without duplicates, in order; of two that begin alike, only the longer one.

    Example:
        >>> unique_warnings(("a brain of 90 mL", "no tumour", "a brain of 90 mL at 9 years"))
        ('no tumour', 'a brain of 90 mL at 9 years')
    """
    each = tuple(dict.fromkeys(warnings))
    return tuple(
        text for text in each if not any(one != text and one.startswith(text) for one in each)
    )


def marker_input_warning(scan: Scan, networks: Ensemble) -> tuple[str, ...]:
    """The warning that the true marker was an input of the networks; empty if it was not."""
    if not networks.uses_true_marker:
        return ()
    return (f"the network was told the true marker ({scan.marker or 'unknown'}): an experiment",)


def _doubts(quality: Quality | None) -> list[str]:
    verdicts = quality.verdicts if quality else ()
    return [verdict.message for verdict in verdicts if verdict.status != "good"]
