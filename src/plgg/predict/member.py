"""One trained network that takes part in an answer, with what its validation patients taught."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plgg.config import Config
from plgg.core.errors import RunError
from plgg.core.files import sha256
from plgg.data.calibration import FILE, Calibration, read_calibration
from plgg.data.inputs import Inputs
from plgg.data.result import Model
from plgg.data.run_folder import split_number
from plgg.measure.clinical import CLINICAL_INPUTS
from plgg.model.checkpoint import Checkpoint, load_checkpoint
from plgg.model.network import patient_outputs
from plgg.predict.engine import Engine
from plgg.predict.engines.load import load_engine
from plgg.tasks.base import AuxiliaryTask

log = logging.getLogger(__name__)


Known = Callable[[float | None, str | None], dict[str, NDArray[np.float64]]]


@dataclass(frozen=True, eq=False)
class Member:
    """A network that is ready to answer.

    Attributes:
        run: Its folder.
        known: Gives what age and sex add to the output of each task; None if they add nothing.
        config: Settings it was trained with.
        classes: Marker classes, in the order of its logits.
        engine: What runs it.
        calibration: None if the run has none, or if raw answers are wanted.
        model: How results name it.
        tasks: That it was trained for, beside the outline.
    """

    run: Path
    known: Known | None
    config: Config
    classes: tuple[str, ...]
    engine: Engine
    calibration: Calibration | None
    model: Model
    tasks: Mapping[str, AuxiliaryTask]

    def offsets(self, slice_mm: float) -> tuple[int, ...]:
        """Of the slices that the network is shown, where these lie that far apart."""
        return Inputs.of(self.config).offsets(slice_mm)

    def rule(self, task: str) -> Mapping[str, float] | None:
        """What the validation patients taught of a task other than the marker; None if nothing."""
        found = self.calibration.tasks.get(task) if self.calibration else None
        return found.numbers if found else None


def load_member(run: Path, *, engine: str = "pytorch", calibrated: bool = True) -> Member:
    """The best network of a run.

    Args:
        run: Folder of a training run.
        engine: One of `plgg.predict.engines.load.ENGINES`.
        calibrated: Whether to use the run's calibration.

    Raises:
        CheckpointError: If the checkpoint is missing, altered or of an unknown version.
        RunError: If the calibration belongs to another checkpoint, or there is no such engine.
    """
    checkpoint = load_checkpoint(run, "best")
    meta = checkpoint.meta
    raw = Member(
        run,
        _known(checkpoint),
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
        meta.restored_tasks(),
    )
    return with_calibration(raw) if calibrated else raw


def with_calibration(member: Member) -> Member:
    """A network with the calibration that its run has, if it has one.

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
    """Check that a calibration is of this network, its classes and what plgg knows of a patient.

    Raises:
        RunError: If it is not.
    """
    clinical = calibration.clinical
    if calibration.model_sha256 != member.model.sha256:
        what = "was made for another checkpoint of this run"
    elif clinical and clinical.classes != member.classes:
        what = "was made for other marker classes"
    elif clinical and clinical.inputs != CLINICAL_INPUTS:
        what = "was made from other clinical data"
    else:
        return
    raise RunError(what, where=path, remedy="Repeat the plgg train command: it makes a new one.")


def _known(checkpoint: Checkpoint) -> Known | None:
    """Of a network that asks for age and sex; engines run the part that looks at the image."""
    config = checkpoint.meta.config
    if config.arm == "single" or "clinical" not in config.model.marker.inputs:
        return None
    return partial(patient_outputs, checkpoint.network().eval())
