"""Ensembles of networks: the mean of their predictions, and their calibration rules.

A single network is an ensemble of one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from plgg.config import (
    EXPECTED_DICE,
    MARKER,
    Config,
    InferenceConfig,
    Label,
    Threshold,
    same_preprocessing,
    with_settings,
)
from plgg.core.errors import ConfigError, InputError
from plgg.core.placement import Placement
from plgg.core.volume import Volume
from plgg.data.calibration import ClinicalModel, MarkerSource, MaskRule, VolumeRule
from plgg.data.quality import Verdict
from plgg.data.result import ThresholdRule
from plgg.measure.components import remove_small_components
from plgg.measure.outline import DEFAULT_THRESHOLD, outlined, threshold_of
from plgg.predict.member import BrainBox, Member
from plgg.predict.out_of_distribution import familiarity
from plgg.predict.whole_brain import BoxPrediction
from plgg.tasks.base import AuxiliaryTask


@dataclass(frozen=True, eq=False)
class ThresholdedMask:
    """A boolean mask, its threshold, and the rule that chose the threshold."""

    mask: NDArray[np.bool_]
    threshold: float
    rule: ThresholdRule


@dataclass(frozen=True, eq=False)
class EnsemblePrediction:
    """Predictions of an ensemble for a brain box.

    Attributes:
        tumour: Mean probability, float32, shape of the box.
        views: Probability of each member and test-time augmentation, to measure their agreement.
        markers: Uncalibrated probabilities of the classes by each member, float64; None for a
            member without a marker head.
        tasks: Combined answer of the members to each further task.
        familiarity: Whether the scan is like the training cohort; None if no member has a rule.
        features: Pooled features of each member.
        short_of_memory: Whether a member used windows for lack of memory.
        native: Mean probability on the native grid, where all members predict on it; else None.
        inner: Mean probability of each region within the tumour, shape (R - 1, I, J, K), or None.
    """

    tumour: NDArray[np.float32]
    views: tuple[NDArray[np.float32], ...]
    markers: tuple[NDArray[np.float64] | None, ...]
    tasks: dict[str, NDArray[np.float64]]
    familiarity: Verdict | None
    features: tuple[NDArray[np.float32], ...]
    short_of_memory: bool
    native: Volume | None = None
    inner: NDArray[np.float32] | None = None


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Networks with the same preprocessing and the same marker classes.

    Attributes:
        members: At least one.
        inference: Inference settings of all of them.
        about: Notes for readers of a result.
    """

    members: tuple[Member, ...]
    inference: InferenceConfig
    about: str = ""

    @property
    def config(self) -> Config:
        """Settings of the first member, by which scans are preprocessed."""
        return self.members[0].config

    @property
    def classes(self) -> tuple[str, ...]:
        """Marker classes."""
        return self.members[0].classes

    @property
    def engine(self) -> str:
        """Names of the members' engines, without duplicates."""
        return ", ".join(dict.fromkeys(member.engine.name for member in self.members))

    def threshold_mask(
        self, probability: Volume, place: int = 0, threshold: float | None = None
    ) -> ThresholdedMask:
        """Threshold the probability of a region and remove its small components.

        Args:
            probability: Of the region, in [0, 1].
            place: Of the region among the labels, 0 the whole tumour.
            threshold: To use if given, as found on another grid; else as set, or the mean of the
                members'.
        """
        rules = self._threshold_rules(place)
        if threshold is None:
            of_rule = {rule: threshold_of(probability.data, rule) for rule in set(rules)}
            threshold = fmean(of_rule[rule] for rule in rules)
        by_scan = EXPECTED_DICE in rules
        mask = remove_small_components(
            outlined(probability.data, EXPECTED_DICE if by_scan else threshold, threshold),
            voxel_volume_ml=probability.voxel_volume_ml,
            smallest_ml=self.smallest_ml(place),
        )
        return ThresholdedMask(mask, threshold, "expected-dice" if by_scan else "fixed")

    def _threshold_rules(self, place: int) -> list[Threshold]:
        if self.inference.threshold is not None:
            return [self.inference.threshold]
        rules = self._mask_rules(place)
        return [rule.threshold if rule else DEFAULT_THRESHOLD for rule in rules]

    def _mask_rules(self, place: int) -> list[MaskRule | None]:
        if place == 0:
            return [m.calibration.mask if m.calibration else None for m in self.members]
        name = self.config.labels[place].name
        return [m.calibration.labels.get(name) if m.calibration else None for m in self.members]

    def smallest_ml(self, place: int = 0) -> float:
        """Components of a region below this volume are removed: as set, or the members' mean."""
        if self.inference.smallest_ml is not None:
            return self.inference.smallest_ml
        return fmean(rule.smallest_ml if rule else 0.0 for rule in self._mask_rules(place))

    @property
    def labels(self) -> tuple[Label, ...]:
        """Regions that are segmented, the whole tumour first; empty where that is the only one."""
        return self.config.labels if len(self.config.labels) > 1 else ()

    @property
    def volume_rule(self) -> VolumeRule | None:
        """The rule of the members with the widest interval; None if one has none."""
        rules = [m.calibration and m.calibration.volume for m in self.members]
        known = [rule for rule in rules if rule]
        return max(known, key=lambda rule: rule.log_ratio) if len(known) == len(rules) else None

    @property
    def calibrated(self) -> bool:
        """Whether every member with a marker head has a calibration of it."""
        return all(m.calibration and m.calibration.marker for m in self._marker_members())

    @property
    def answer_from(self) -> float | None:
        """Confidence from which a marker is named: the highest of the members; None for never."""
        rules = [m.calibration.marker if m.calibration else None for m in self._marker_members()]
        values = [rule.answer_from if rule else None for rule in rules]
        known = [value for value in values if value is not None]
        return max(known) if known and len(known) == len(values) else None

    @property
    def marker_source(self) -> MarkerSource:
        """Where the marker comes from: the source that all members chose, else `network`."""
        rules = [m.calibration.marker if m.calibration else None for m in self._marker_members()]
        known: set[MarkerSource] = {rule.source if rule else "network" for rule in rules}
        return known.pop() if len(known) == 1 else "network"

    @property
    def clinical(self) -> ClinicalModel | None:
        """The first member's clinical-only baseline."""
        calibration = self.members[0].calibration
        return calibration.clinical if calibration else None

    def require_classes(self, markers: Iterable[str | None]) -> None:
        """Refuse scans whose marker is not among the classes of these networks.

        Raises:
            InputError: If they name markers and one of these is not among their classes.
        """
        unknown = sorted({marker for marker in markers if marker} - set(self.classes))
        if unknown and self._marker_members():
            raise InputError(
                f"the model knows {', '.join(self.classes)}, but the inputs have the marker "
                f"{', '.join(unknown)}",
                remedy="Use a model of these classes, or blank the column marker.",
            )

    @property
    def uses_true_marker(self) -> bool:
        """Whether the true marker is an input of any member, as in experiments with an oracle."""
        return any(member.config.model.marker_planes for member in self.members)

    def _marker_members(self) -> list[Member]:
        return [member for member in self.members if MARKER in member.tasks]

    @property
    def other_tasks(self) -> dict[str, AuxiliaryTask]:
        """Tasks that any member has, other than segmentation and marker."""
        found = {name: task for m in reversed(self.members) for name, task in m.tasks.items()}
        return {name: task for name, task in found.items() if name != MARKER}

    def rules(self, task: str) -> list[Mapping[str, float]]:
        """Each member's calibration of a task; empty if one of them has none."""
        found = [member.rule(task) for member in self.members if task in member.tasks]
        known = [rule for rule in found if rule is not None]
        return known if len(known) == len(found) else []

    def answer(
        self,
        codes: NDArray[np.int8],
        *,
        slice_mm: float = 1.0,
        age_years: float | None = None,
        sex: str | None = None,
        placement: Placement | None = None,
        native: Volume | None = None,
        marker: str | None = None,
    ) -> EnsemblePrediction:
        """Run every member on a brain box and combine their predictions.

        Args:
            codes: Coded z-scores of a brain box, shape (C, I, J, K).
            slice_mm: Distance of its slices.
            age_years: Of the patient, for members that take it; None where unknown.
            sex: Likewise.
            placement: Geometry of the box, for members that need it.
            native: The native scan, for members that predict on it.
            marker: The true marker, for members that take it; None where unknown.
        """
        box = BrainBox(codes, slice_mm, age_years, sex, placement, native, marker)
        boxes = [member.predict(box, self.inference) for member in self.members]
        known = [m.calibration.familiarity if m.calibration else None for m in self.members]
        features = [box.features for box in boxes]
        return EnsemblePrediction(
            tumour=np.mean([box.tumour for box in boxes], axis=0, dtype=np.float32),
            views=tuple(view for box in boxes for view in box.views),
            markers=tuple(box.marker for box in boxes),
            tasks={
                name: self._combined(name, task, boxes) for name, task in self.other_tasks.items()
            },
            familiarity=familiarity(features, known),
            features=tuple(features),
            short_of_memory=any(box.window for box in boxes) and not self.inference.window,
            native=_native([box.native for box in boxes]),
            inner=_mean_inner([box.inner for box in boxes]),
        )

    def _combined(
        self, name: str, task: AuxiliaryTask, boxes: Sequence[BoxPrediction]
    ) -> NDArray[np.float64]:
        """Combine the members' calibrated answers to a task."""
        answers = []
        for box, member in zip(boxes, self.members, strict=True):
            if name in box.tasks:
                rule = member.rule(name)
                answers.append(task.calibrated(box.tasks[name], rule) if rule else box.tasks[name])
        return task.combine(answers)


def _mean_inner(found: Sequence[NDArray[np.float32] | None]) -> NDArray[np.float32] | None:
    known = [inner for inner in found if inner is not None]
    return np.mean(known, axis=0, dtype=np.float32) if known else None


def _native(found: Sequence[Volume | None]) -> Volume | None:
    """Mean of the members' native probabilities; None where one has predicted on the box only."""
    known = [volume for volume in found if volume is not None]
    if len(known) < len(found):
        return None
    mean = np.mean([one.data for one in known], axis=0, dtype=np.float32)
    return known[0].with_data(np.asarray(mean))


def build_ensemble(
    members: Sequence[Member], inference: InferenceConfig | None = None, *, about: str = ""
) -> Ensemble:
    """Build an ensemble, and check that its members fit together.

    Args:
        members: Networks of any arms, splits and seeds.
        inference: Inference settings; by default those of the first member.
        about: Notes for readers of a result.

    Raises:
        ConfigError: If a network is named twice, or members differ in their preprocessing,
            sequences, labels, tasks or classes.
    """
    first, *others = members
    for place, other in enumerate(others, start=1):
        unlike = _difference(first, other)
        if unlike:
            raise ConfigError(
                f"cannot answer together with {first.run}: {unlike}",
                where=other.run,
                remedy="Use runs of one store.",
            )
        if other.model.sha256 in {member.model.sha256 for member in members[:place]}:
            raise ConfigError(
                "is the same network as another that is named",
                where=other.run,
                remedy="Name each model once.",
            )
    return Ensemble(tuple(members), inference or first.config.inference, about)


def inference_settings(config: Config, settings: Sequence[str]) -> InferenceConfig:
    """The inference settings of a run, with some of them changed.

    Args:
        config: The run's.
        settings: Changes, each `inference.key=value`.

    Raises:
        ConfigError: If a setting is unknown, or does not begin with `inference.`.
    """
    changed = with_settings(config, settings)
    if changed.model_copy(update={"inference": config.inference}) != config:
        raise ConfigError(
            "a trained model's settings cannot be changed, but for inference.*",
            remedy="Name only settings that begin with inference.",
        )
    return changed.inference


def _difference(one: Member, other: Member) -> str | None:
    if one.classes != other.classes:
        return f"its classes are {', '.join(other.classes)}, not {', '.join(one.classes)}"
    for name, task in one.tasks.items():
        if name in other.tasks and not task.fits(other.tasks[name].record):
            return f"its task {name} is of another kind, column or classes"
    if one.config.labels != other.config.labels:
        return "it outlines other labels"
    if one.config.channels != other.config.channels:
        return "it sees other sequences"
    if one.config.grid != other.config.grid:
        return "its voxels are of another size"
    if not same_preprocessing(one.config.preprocess, other.config.preprocess):
        return "its scans were stripped or registered in another way, or to another atlas"
    return None
