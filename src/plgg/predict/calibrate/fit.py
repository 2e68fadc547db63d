"""The `Calibration` of a run, fitted on the raw predictions of its validation patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from plgg.config import MARKER, InferenceConfig, Label
from plgg.core.errors import InputError
from plgg.core.progress import Progress
from plgg.core.volume import Volume, same_grid
from plgg.data.calibration import (
    Calibration,
    Familiarity,
    MarkerRule,
    MarkerSource,
    MaskRule,
    TaskRule,
    VolumeRule,
)
from plgg.data.labels import true_regions
from plgg.data.manifest import Case, target_text
from plgg.data.nifti.image import read_volume
from plgg.data.result import Marker, probability_file, read_result
from plgg.metrics.calibration import (
    calibration_error,
    confidence_and_hits,
    fit_temperature,
    log_probabilities,
    negative_log_likelihood,
    reliability_bins,
    risk_coverage,
    widest_within,
    with_temperature,
)
from plgg.metrics.conformal import conformal_quantile
from plgg.predict.calibrate.mask import (
    PLAIN_THRESHOLD,
    MaskScores,
    Options,
    fit_mask,
    options_of,
    score_mask,
)
from plgg.predict.marker import COMBINED, NETWORK, RADIOMICS, MarkerModels, marker_sources
from plgg.tasks.base import AuxiliaryTask

# One number can be fitted to five scans; a threshold on top of it hardly to fewer.
FEWEST_SCANS = 5
# Fewer cannot tell whose answers are better.
_FEWEST_TO_CHOOSE = 30


def fit_marker(
    probabilities: NDArray[np.float64], truth: NDArray[np.int64], *, target_risk: float
) -> MarkerRule | None:
    """Fit the temperature, then choose from which confidence on to answer.

    All numbers after the fit are of the scans it was fitted to, hence a little too good; the test
    patients tell the truth.

    Args:
        probabilities: Of a temperature of 1, shape (n, classes).
        truth: Class indices, shape (n,).
        target_risk: Share of wrong answers that is accepted.

    Returns:
        The rule; None for fewer than 5 scans.
    """
    if len(truth) < FEWEST_SCANS:
        return None
    # Four decimals, so that equal inputs give equal files on all machines.
    temperature = round(fit_temperature(log_probabilities(probabilities), truth), 4)
    scaled = with_temperature(probabilities, temperature)
    before = reliability_bins(*confidence_and_hits(probabilities, truth))
    after = reliability_bins(*confidence_and_hits(scaled, truth))
    curve = risk_coverage(*confidence_and_hits(scaled, truth))
    chosen = widest_within(curve, target_risk)
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


LEVEL = 0.9


def fit_volume(
    true_ml: NDArray[np.float64],
    predicted_ml: NDArray[np.float64],
    patients: Sequence[str],
    *,
    level: float = LEVEL,
) -> VolumeRule | None:
    """The error |log(true / predicted)| that a new patient keeps below with chance `level`.

    Split conformal (Lei et al. 2018): of n + 1 patients, the new one among them, each is as likely
    to have any rank. Scans of one patient share its weight (Lee, Barber and Willett 2023), so that
    many scans of one do not pass for many. A scan where a volume is 0 has an infinite error.
    Checkpoint and mask rule were chosen on the same patients, which makes the interval a little
    too narrow.

    Args:
        true_ml: True volumes, shape (n,).
        predicted_ml: Predicted ones, by the run's own mask rule.
        patients: Whose scans they are.
        level: The chance.

    Returns:
        The rule; None where no finite one holds: for fewer than 9 patients at 0.9, and where
        errors are infinite in more than the share that may be missed.
    """
    log_ratio = conformal_quantile(_errors(true_ml, predicted_ml), patients, level=level)
    if log_ratio is None:
        return None
    return VolumeRule(log_ratio=log_ratio, level=level, n=len(set(patients)))


def _errors(true_ml: NDArray[np.float64], predicted_ml: NDArray[np.float64]) -> NDArray[np.float64]:
    known = (true_ml > 0) & (predicted_ml > 0)
    errors = np.full(len(known), np.inf)
    errors[known] = np.abs(np.log(true_ml[known] / predicted_ml[known]))
    return errors


@dataclass(frozen=True, eq=False)
class NamedMarker:
    """What is known of a scan's marker.

    Attributes:
        probabilities: Of the classes by the network, in its order.
        truth: Index of the true one.
        features: Of the outlined tumour.
        case_id: Whose.
    """

    probabilities: tuple[float, ...]
    truth: int
    features: Mapping[str, float] = field(default_factory=dict)
    case_id: str = ""


@dataclass(frozen=True, eq=False)
class ValidationScan:
    """One scan; None for what has no truth, or for a marker that the network does not name.

    `tasks` are further answers and truths, where the latter are known; `labels` regions within the
    tumour by name, likewise.
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
    """Read what was predicted of a scan and hold it against the truth.

    Raises:
        InputError: If a file is missing or cannot be read, lies on another grid than the truth, or
            its marker is of other classes or was calibrated already.
    """
    folder = predictions / case.case_id
    return ValidationScan(
        _mask(folder, case, options),
        _marker(folder, case, classes),
        case.patient_id,
        _tasks(folder, case, tasks or {}),
        _labels(folder, case, options, labels),
    )


def _mask(folder: Path, case: Case, options: Options) -> MaskScores | None:
    if case.mask is None:
        return None
    truth = read_volume(case.mask)
    return _scored(folder / "probability.nii.gz", truth.with_data(truth.data > 0), case, options)


def _labels(
    folder: Path, case: Case, options: Options, labels: Sequence[Label]
) -> dict[str, MaskScores]:
    """Regions within the tumour, where the mask tells them."""
    if case.mask is None or len(labels) < 2:
        return {}
    known = true_regions(case, labels, read_volume(case.mask))
    whole = read_volume(folder / "probability.nii.gz").data
    limit = PLAIN_THRESHOLD if options.set_threshold is None else options.set_threshold
    return {
        label.name: _scored(
            folder / probability_file(label), known[label.name], case, options, whole >= limit
        )
        for label in labels[1:]
        if label.name in known
    }


def _scored(
    path: Path,
    truth: Volume,
    case: Case,
    options: Options,
    within: NDArray[np.bool_] | None = None,
) -> MaskScores:
    """A probability held against a true region under every option, 0 outside of what it is in."""
    probability = read_volume(path)
    if not same_grid(probability, truth):
        raise InputError(
            "the probability does not lie on the grid of the true mask",
            where=case.case_id,
            remedy="Draw the mask on the scan itself, or leave its cell in the manifest blank.",
        )
    data = probability.data
    return score_mask(
        data if within is None else np.where(within, data, np.float32(0.0)),
        np.asarray(truth.data, dtype=np.bool_),
        options,
        voxel_volume_ml=truth.voxel_volume_ml,
        patient_id=case.patient_id,
    )


def _marker(folder: Path, case: Case, classes: Sequence[str]) -> NamedMarker | None:
    path = folder / "result.json"
    result = read_result(path)
    named = result.marker
    if named is None or case.marker is None:
        return None
    _require_raw(named, classes, path)
    if case.marker not in classes:
        raise InputError(
            f"has the marker {case.marker}, the model knows {', '.join(classes)}",
            where=case.case_id,
            remedy="Blank its marker, or train on a store of all classes.",
        )
    chances = tuple(named.probabilities[name] for name in classes)
    return NamedMarker(chances, list(classes).index(case.marker), result.radiomics, case.case_id)


def _tasks(
    folder: Path, case: Case, tasks: Mapping[str, AuxiliaryTask]
) -> dict[str, tuple[NDArray[np.float64], str]]:
    """Raw answers and truths of the tasks whose target is known."""
    truths = {name: target_text(case, task.record.column) for name, task in tasks.items()}
    known = {name: text for name, text in truths.items() if text is not None and name != MARKER}
    if not known:
        return {}
    said = read_result(folder / "result.json").tasks
    return {
        name: (tasks[name].recall(said[name]), text) for name, text in known.items() if name in said
    }


def _task_rules(
    scans: Sequence[ValidationScan], tasks: Mapping[str, AuxiliaryTask]
) -> dict[str, TaskRule]:
    """What these scans teach of each task, where they are enough."""
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


def _require_raw(named: Marker, classes: Sequence[str], path: Path) -> None:
    if named.calibrated or set(named.probabilities) != set(classes):
        raise InputError(
            f"is no raw prediction of the classes {', '.join(classes)}",
            where=path,
            remedy="Delete the folder and repeat plgg train.",
        )


def fit_calibration(  # noqa: PLR0913 - each part needs its own, and only one place calls it
    predictions: Path,
    cases: Sequence[Case],
    models: Mapping[str, MarkerModels],
    *,
    settings: InferenceConfig,
    model_sha256: str,
    classes: Sequence[str],
    familiarity: Familiarity | None,
    tasks: Mapping[str, AuxiliaryTask] | None = None,
    labels: Sequence[Label] = (),
    progress: Progress | None = None,
) -> Calibration:
    """Fit everything that the validation patients can teach.

    Args:
        predictions: Raw ones of the validation scans, a folder each.
        cases: These scans, with the truth so far as it is known.
        models: For each of these scans, what the training part of the run that answered it
            teaches without a network. The first scan's are kept.
        settings: Threshold and smallest part are chosen only where these leave them open.
        model_sha256: Of the network's weights.
        classes: Of the marker, in the network's order.
        familiarity: Kept as it is.
        tasks: Of the network, beside the outline.
        labels: Of the network, the whole tumour first; none where that is all.
        progress: Told after each scan.

    Raises:
        InputError: If a prediction or a true mask is missing, broken, or on another grid.
    """
    options = options_of(settings)
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
    """The mask rule of a region within the tumour; the plain one where too few masks tell it."""
    return fit_mask([s.labels[label.name] for s in scans if label.name in s.labels], options)[0]


def _volume_rule(masks: Sequence[MaskScores], chosen: tuple[int, int]) -> VolumeRule | None:
    return fit_volume(
        np.array([scan.true_ml for scan in masks]),
        np.array([scan.volume_ml[chosen] for scan in masks]),
        [scan.patient_id for scan in masks],
    )


def fit_marker_rule(
    named: Sequence[NamedMarker], models: Mapping[str, MarkerModels], settings: InferenceConfig
) -> MarkerRule | None:
    """The rule of the source that is wanted, or of the best one."""
    truth = np.array([scan.truth for scan in named], dtype=np.int64)
    raw = np.array([scan.probabilities for scan in named])
    network = fit_marker(raw, truth, target_risk=settings.target_risk)
    if network is None or settings.marker_from == NETWORK:
        return network
    sources = [
        marker_sources(
            with_temperature(np.array(scan.probabilities), network.temperature),
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
