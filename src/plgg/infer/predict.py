"""Predicting scans: one folder a case, on the patient's own grid, whole or not at all.

OUT/CASE/mask.nii.gz          tumour, uint8
OUT/CASE/probability.nii.gz   of tumour, 0 to 1
OUT/CASE/result.json          volume, marker, what it was made from and with
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from plgg.config import with_atlas
from plgg.errors import InputError, OutputError, PlggError
from plgg.infer.engine import BoxPrediction, predict_box
from plgg.infer.source import Scan
from plgg.io.environment import versions
from plgg.io.files import make_folder, read_json, write_json
from plgg.io.nifti import write_probability, write_volume
from plgg.io.quality import Quality
from plgg.model.allocator import keep_freed_memory
from plgg.model.checkpoint import Checkpoint, load_checkpoint
from plgg.model.device import choose_runtime
from plgg.preprocess.restore import restore
from plgg.volume import Volume
from plgg.watch import Progress

log = logging.getLogger(__name__)
Record = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What became of a scan: its result, or the reason why there is none."""

    case_id: str
    result: Record | None
    reason: str | None = None


class Predictor:
    """A trained model, ready for scans.

    Args:
        run: Folder of a training run.
        atlas: Where the atlas of its scans lies now, if not where it was.

    Raises:
        CheckpointError: If its best checkpoint is missing, altered or of an unknown version.
    """

    def __init__(self, run: Path, *, atlas: str | None = None) -> None:
        self.checkpoint: Checkpoint = load_checkpoint(run, "best")
        self.config = with_atlas(self.checkpoint.meta.config, atlas)
        self.runtime = choose_runtime(self.config.precision)
        if self.runtime.device.type == "cpu":
            keep_freed_memory()
        self.network = self.checkpoint.network().to(self.runtime.device).eval()

    def predict(self, scan: Scan, out: Path) -> Record:
        """Predict one scan into `out/CASE`; a result of this model on this scan is kept.

        Raises:
            PlggError: If the scan cannot be used or the result not be written.
        """
        if not scan.case_id or scan.case_id.startswith("."):
            # `out / ".."` would be replaced with all that is in it.
            raise InputError(
                f"{scan.case_id!r} cannot name a folder", where=scan.path, remedy="Rename the file."
            )
        digest = scan.digest()
        kept = self._kept(out / scan.case_id, digest)
        if kept is not None:
            return kept
        loaded = scan.load(self.config)
        settings = self.config.inference
        answer = predict_box(self.network, loaded.prepared.image, self.runtime, settings)
        tumour = restore(answer.tumour, loaded.prepared.placement)
        mask = tumour.with_data(tumour.data >= settings.threshold)
        result = self._result(scan, digest, mask, answer, loaded.quality)
        _write(out / scan.case_id, mask, tumour, result)
        return result

    def _kept(self, folder: Path, digest: str) -> Record | None:
        try:
            result: Record = read_json(folder / "result.json")
            made = (result["model"]["sha256"], result["input"]["sha256"])
            whole = all((folder / name).is_file() for name in ("mask.nii.gz", "probability.nii.gz"))
            return result if whole and made == (self.checkpoint.meta.sha256, digest) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _result(
        self, scan: Scan, digest: str, mask: Volume, answer: BoxPrediction, quality: Quality | None
    ) -> Record:
        meta = self.checkpoint.meta
        volume_ml = float(mask.data.sum()) * mask.voxel_volume_ml
        return {
            "format": "plgg-result",
            "version": 1,
            "case_id": scan.case_id,
            "patient_id": scan.patient_id,
            "input": {"path": str(scan.path), "sha256": digest},
            "volume_ml": round(volume_ml, 4),
            "marker": _marker(meta.classes, answer),
            "model": {
                "sha256": meta.sha256,
                "preset": meta.config.preset,
                "arm": meta.config.arm,
                "epoch": meta.epoch,
                "precision": self.runtime.name,
            },
            "versions": versions(),
            "quality": quality and quality.model_dump(mode="json"),
            "warnings": [*_doubts(quality), *([] if volume_ml else ["no tumour was found"])],
            "note": "For research use only. Probabilities are not calibrated.",
        }


def _doubts(quality: Quality | None) -> list[str]:
    verdicts = quality.verdicts if quality else ()
    return [verdict.message for verdict in verdicts if verdict.status != "good"]


def _marker(classes: Sequence[str], answer: BoxPrediction) -> Record | None:
    if answer.marker is None:
        return None
    probabilities = {name: float(p) for name, p in zip(classes, answer.marker, strict=True)}
    return {
        "classes": list(classes),
        "probabilities": probabilities,
        "predicted": classes[int(np.argmax(answer.marker))],
    }


def _write(folder: Path, mask: Volume, tumour: Volume, result: Record) -> None:
    aside = folder.with_name(f".{folder.name}")
    shutil.rmtree(aside, ignore_errors=True)
    make_folder(aside)
    try:
        write_volume(aside / "mask.nii.gz", mask)
        write_probability(aside / "probability.nii.gz", tumour)
        write_json(aside / "result.json", result)
        shutil.rmtree(folder, ignore_errors=True)
        aside.rename(folder)
    except OSError as error:
        raise OutputError(
            f"could not be written ({error.strerror or error})", where=folder
        ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def predict_scans(
    scans: Sequence[Scan], predictor: Predictor, out: Path, *, progress: Progress | None = None
) -> list[Outcome]:
    """Predict many scans; one that fails is named and the others go on.

    Returns:
        An outcome for every scan, in their order.

    Raises:
        OutputError: If the folder cannot be written to.
    """
    make_folder(out)
    outcomes: list[Outcome] = []
    for scan in scans:
        outcomes.append(_guarded(scan, predictor, out))
        if progress:
            progress(len(outcomes), len(scans))
    return outcomes


def _guarded(scan: Scan, predictor: Predictor, out: Path) -> Outcome:
    try:
        return Outcome(scan.case_id, predictor.predict(scan, out))
    except PlggError as error:
        return Outcome(scan.case_id, None, str(error))
    except Exception as error:  # the one guard around a case of a batch
        log.exception("case %s failed unexpectedly", scan.case_id)
        return Outcome(scan.case_id, None, f"unexpected {type(error).__name__}: {error}")
