"""One trained network of an ensemble, with its calibration."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plgg.config import Config, InferenceConfig
from plgg.core.errors import RunError
from plgg.core.files import sha256
from plgg.core.placement import Placement
from plgg.core.volume import Volume
from plgg.data.calibration import FILE, Calibration, read_calibration
from plgg.data.inputs import Inputs, one_hot
from plgg.data.result import Model
from plgg.data.run_folder import split_number
from plgg.measure.clinical import CLINICAL_INPUTS
from plgg.measure.radiomics import RADIOMICS_INPUTS
from plgg.model.checkpoint import Checkpoint, load_checkpoint
from plgg.model.network import patient_outputs
from plgg.predict.engine import Engine, with_marker
from plgg.predict.engines.load import load_engine
from plgg.predict.whole_brain import BoxPrediction, predict_box
from plgg.tasks.base import AuxiliaryTask
from plgg.tasks.mask_task import scan_level_tasks

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class BrainBox:
    """Input of the networks for one patient.

    Attributes:
        codes: Coded z-scores of the brain box, shape (C, I, J, K).
        slice_mm: Distance of its slices.
        age_years: For networks that take it; None where unknown.
        sex: Likewise.
        placement: Geometry of the box; None where no network needs it.
        native: The native scan; None for cases of a store, or where no network needs it.
        marker: The true marker, for networks that take it; None where unknown.
    """

    codes: NDArray[np.int8]
    slice_mm: float = 1.0
    age_years: float | None = None
    sex: str | None = None
    placement: Placement | None = None
    native: Volume | None = None
    marker: str | None = None


PatientTerms = Callable[[float | None, str | None], dict[str, NDArray[np.float64]]]


@dataclass(frozen=True, eq=False)
class Member:
    """A loaded network with its settings and calibration.

    Attributes:
        run: Its folder.
        known: Computes what age and sex add to the output of each task; None if they add nothing.
        config: Settings it was trained with.
        classes: Marker classes, in the order of its logits.
        engine: Runs the network.
        calibration: None if the run has none, or if raw answers are wanted.
        model: Its identity in results.
        tasks: Auxiliary tasks that it was trained for, without mask tasks.
    """

    run: Path
    known: PatientTerms | None
    config: Config
    classes: tuple[str, ...]
    engine: Engine
    calibration: Calibration | None
    model: Model
    tasks: Mapping[str, AuxiliaryTask]

    @property
    def about(self) -> str:
        """Note for readers of its results; empty for networks of plgg."""
        return ""

    def predict(self, box: BrainBox, inference: InferenceConfig) -> BoxPrediction:
        """Run this network on one patient.

        Raises:
            PlggError: If memory is too small, or an input or setting does not suit the network.
        """
        return predict_box(
            self.engine_for(box.marker),
            box.codes,
            inference,
            known=self.known(box.age_years, box.sex) if self.known else None,
            tasks=self.tasks,
            offsets=self.offsets(box.slice_mm),
        )

    def offsets(self, slice_mm: float) -> tuple[int, ...]:
        """Offsets of the slices that are its input channels, at this slice distance."""
        return Inputs.of(self.config).offsets(slice_mm)

    def engine_for(self, marker: str | None) -> Engine:
        """The engine for a patient, with the true marker where the network takes it as input.

        Args:
            marker: The true marker; None where unknown.
        """
        if not self.config.model.marker_planes:
            return self.engine
        return with_marker(self.engine, one_hot(marker, self.classes))

    def rule(self, task: str) -> Mapping[str, float] | None:
        """Calibration of a task other than the marker; None if it has none."""
        found = self.calibration.tasks.get(task) if self.calibration else None
        return found.numbers if found else None


def load_member(run: Path, *, engine: str = "pytorch", calibrated: bool = True) -> Member:
    """Load the best network of a run.

    Args:
        run: Folder of a training run.
        engine: One of `plgg.predict.engines.load.ENGINES`.
        calibrated: Whether to use the run's calibration.

    Raises:
        CheckpointError: If the checkpoint is missing, altered or of an unknown version.
        ConfigError: If there is no such engine, or a package is not installed.
        RunError: If the calibration belongs to another checkpoint, or the run was not exported
            for the engine.
    """
    checkpoint = load_checkpoint(run, "best")
    meta = checkpoint.meta
    raw = Member(
        run,
        _patient_terms(checkpoint),
        meta.config,
        meta.classes,
        load_engine(engine, run, checkpoint),
        None,
        Model(
            sha256=meta.sha256,
            calibration_sha256=None,
            preset=meta.config.preset,
            arm=meta.config.arm,
            epoch=meta.epoch,
            split=split_number(run),
            seed=meta.config.seed,
        ),
        scan_level_tasks(meta.restored_tasks()),
    )
    return with_calibration(raw) if calibrated else raw


def with_calibration(member: Member) -> Member:
    """Add the calibration of its run to a network, if there is one.

    Raises:
        RunError: If the calibration is not of this network.
    """
    path = member.run / FILE
    calibration = read_calibration(member.run)
    if calibration is None:
        return member
    _require_fit(calibration, member, path)
    model = member.model.model_copy(update={"calibration_sha256": sha256(path)})
    return replace(member, calibration=calibration, model=model)


def _require_fit(calibration: Calibration, member: Member, path: Path) -> None:
    """Check that a calibration fits this network, its classes and the inputs that plgg computes.

    Raises:
        RunError: If it is not.
    """
    clinical, forest = calibration.clinical, calibration.radiomics
    if calibration.model_sha256 != member.model.sha256:
        what = "was made for another checkpoint of this run"
    elif any(one and one.classes != member.classes for one in (clinical, forest)):
        what = "was made for other marker classes"
    elif clinical and clinical.inputs != CLINICAL_INPUTS:
        what = "was made from other clinical data"
    elif forest and not set(forest.inputs) <= set(RADIOMICS_INPUTS):
        what = "was made from other radiomics"
    else:
        return
    raise RunError(what, where=path, remedy="Repeat the plgg train command: it makes a new one.")


def _patient_terms(checkpoint: Checkpoint) -> PatientTerms | None:
    """The function for networks that take age and sex; engines run only the image's part."""
    config = checkpoint.meta.config
    if config.arm == "single" or "clinical" not in config.model.marker.inputs:
        return None
    return partial(patient_outputs, checkpoint.network().eval())
