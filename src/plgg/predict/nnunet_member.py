"""`NnunetMember`: a fold of a trained nnU-Net v2 as a member of an ensemble.

It has no marker head, no calibration and no record of its training distribution, so results hold
none of these. A network that was trained on `plgg export nnunet` gets scans preprocessed as for
that export; any other gets the native scan.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plgg.config import SEGMENTATION, Config, GridConfig, InferenceConfig, PreprocessConfig
from plgg.core.errors import ConfigError, InputError, RunError
from plgg.core.files import sha256
from plgg.data.nnunet import (
    CHECKPOINT,
    NnunetExport,
    fold_number,
    read_nnunet_export,
    results_folder,
)
from plgg.data.result import Model
from plgg.data.store_arrays import OUTSIDE
from plgg.predict.engine import Answer, Engine
from plgg.predict.engines.nnunet_checkpoint import load_nnunet_checkpoint
from plgg.predict.engines.nnunet_network import NnunetNetwork, answering_folds, build_nnunet
from plgg.predict.engines.nnunet_plans import Description
from plgg.predict.member import BrainBox, Member
from plgg.predict.memory import meter_of
from plgg.predict.whole_brain import BoxPrediction
from plgg.preprocess.resample import resample

# Preprocessing for gates and radiomics, where the network itself gets the native scan.
GATE_SETTINGS = PreprocessConfig()
LIMITATIONS_NOTE = (
    "The outline is by nnU-Net v2, which names no marker; its certainty was not calibrated, so "
    "there is no interval of the volume, and whether the scan is like those that it learned from "
    "is not judged."
)
UNKNOWN_PREPROCESSING_NOTE = (
    "The model does not say how its scans were prepared: the scan was given to it as it is, on its "
    "native grid, with whatever there is of the skull."
)


@dataclass(frozen=True, eq=False)
class NnunetMember(Member):
    """One fold of a trained nnU-Net.

    Attributes:
        network: The network with nnunetv2's predictor.
        export: Record of the export that it was trained on; None where there is none.
    """

    network: NnunetNetwork
    export: NnunetExport | None

    @property
    def about(self) -> str:
        """Note for readers of its results: what they lack, and how the scan was given to it."""
        return (
            LIMITATIONS_NOTE if self.export else f"{LIMITATIONS_NOTE} {UNKNOWN_PREPROCESSING_NOTE}"
        )

    def predict(self, box: BrainBox, inference: InferenceConfig) -> BoxPrediction:
        """Run this network on one patient.

        Raises:
            ConfigError: If windows, a memory limit or zooms are set, which nnU-Net does not take.
            InputError: If it needs the native scan, and the case comes from a store.
        """
        if inference.window is not None or inference.memory_gib is not None:
            raise ConfigError(
                "nnU-Net sees a scan in windows of its own",
                remedy="Leave --memory and inference.window out.",
            )
        if inference.zooms != (1.0,):
            raise ConfigError(
                "nnU-Net sees a scan at the size of its training",
                remedy="Leave inference.zooms out.",
            )
        if self.export is None:
            return self._on_scan(box, mirror=inference.mirror)
        image = box.codes.astype(np.int16) - int(OUTSIDE)
        return _prediction(
            self.network.outlines(image, self._spacing_mm(box), mirror=inference.mirror)
        )

    def _spacing_mm(self, box: BrainBox) -> list[float]:
        """Voxel size of the box, in the world of the export."""
        if box.placement is None or self.config.grid.kind == "atlas":
            return [self.config.grid.spacing_mm] * 3
        return [float(mm) for mm in box.placement.native_spacing_mm]

    def _on_scan(self, box: BrainBox, *, mirror: bool) -> BoxPrediction:
        scan, placement = box.native, box.placement
        if scan is None or placement is None:
            raise InputError(
                "holds no scan as it was acquired, and this nnU-Net does not say how its scans "
                "were prepared",
                where="store",
                remedy="Predict from the manifest.",
            )
        (found,) = self.network.outlines(scan.data[None], scan.spacing_mm.tolist(), mirror=mirror)
        in_box = resample(found, placement.native_from_box(), placement.box_shape)
        said = _prediction(np.clip(in_box, 0.0, 1.0).astype(np.float32)[None])
        return BoxPrediction(
            said.tumour, {}, said.features, said.views, None, native=scan.with_data(found)
        )


def _prediction(outlines: NDArray[np.float32]) -> BoxPrediction:
    """The prediction from probabilities: the whole tumour first, then the labels within it."""
    tumour, inner = outlines[0], outlines[1:] if len(outlines) > 1 else None
    none = np.zeros(0, dtype=np.float32)
    return BoxPrediction(tumour, {}, none, (tumour,), None, inner=inner)


def load_nnunet_members(path: Path, *, engine: str = "pytorch") -> list[Member]:
    """Load the folds of a folder of trained results, or the one that is named.

    Args:
        path: `…/nnUNetTrainer__nnUNetPlans__2d`, or `fold_K` in it.
        engine: Only `pytorch` is possible.

    Raises:
        ConfigError: If nnunetv2 is not installed, or another engine is wanted.
        RunError: If it is no such folder, or a network that plgg does not run.
        CheckpointError: If a checkpoint is missing or damaged, or holds more than data.
    """
    results = results_folder(path)
    if results is None:
        raise RunError(
            "holds no trained nnU-Net", where=path, remedy="Name the folder with plans.json."
        )
    if engine != "pytorch":
        raise ConfigError(f"nnU-Net does not run on {engine}", remedy="Leave --engine out.")
    folds = answering_folds(results, None if results == path else path)
    if not folds:
        raise RunError(
            "holds no fold_K", where=results, remedy="Train one: nnUNetv2_train ID 2d 0."
        )
    export = read_nnunet_export(results)
    description = Description(results, export.labels if export else ())
    _require_channels(description, export)
    return [_member(fold, description, export) for fold in folds]


def _require_channels(description: Description, export: NnunetExport | None) -> None:
    wanted = 1 if export is None else len(export.channels)
    if description.n_channels != wanted:
        raise RunError(
            f"sees {description.n_channels} sequences, and plgg can tell the names of {wanted}",
            where=description.results,
            remedy="Train on what plgg export nnunet wrote, or copy its plgg.json to plans.json.",
        )


def _member(fold: Path, description: Description, export: NnunetExport | None) -> NnunetMember:
    path = fold / CHECKPOINT
    checkpoint = load_nnunet_checkpoint(path)
    network = build_nnunet(description, checkpoint)
    config = _config(export)
    return NnunetMember(
        run=fold,
        known=None,
        config=config,
        classes=(),
        engine=_engine(network),
        calibration=None,
        model=Model(
            sha256=sha256(path),
            calibration_sha256=None,
            preset=f"nnU-Net {checkpoint.configuration}"[:100],
            arm="single",
            epoch=checkpoint.epoch,
            split=fold_number(fold),
            seed=config.seed,
        ),
        tasks={},
        network=network,
        export=export,
    )


def _config(export: NnunetExport | None) -> Config:
    """Settings of preprocessing; without an export they serve gates and radiomics only."""
    common = {"preset": "nnU-Net", "arm": "single", "inference": InferenceConfig(mirror=True)}
    if export is None:
        grid = GridConfig(kind="slices", spacing_mm=2.5)
        return Config().model_copy(update={**common, "grid": grid, "preprocess": GATE_SETTINGS})
    own = {"channels": export.channels, "grid": export.grid, "preprocess": export.preprocess}
    plain = Config()
    outline = plain.tasks[SEGMENTATION].model_copy(update={"labels": export.labels})
    tasks = {**plain.tasks, SEGMENTATION: outline}
    return plain.model_copy(update={**common, **own, "tasks": tasks})


def _engine(network: NnunetNetwork) -> Engine:
    """An engine that only names the network and cannot run: nnU-Net needs the spacing, too."""

    def refuse(_: NDArray[np.float32]) -> Answer:
        raise RunError("asks for a scan's spacing", where=network.name, remedy="Use plgg predict.")

    return Engine(network.name, (1, 1, 1), refuse, meter_of(network.predictor.device))
