"""What one validation scan has to teach: its raw prediction beside the truth.

    PREDICTIONS/CASE/{probability.nii.gz, result.json}

Reads files; judges nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from plgg.calibrate.mask import MaskScores, score_mask
from plgg.calibrate.options import Options
from plgg.errors import InputError
from plgg.io.manifest import Case
from plgg.io.nifti import read_volume
from plgg.io.result import Marker, read_result
from plgg.volume import same_grid


@dataclass(frozen=True, eq=False)
class NamedMarker:
    """Probabilities of the classes, in the network's order, and the index of the true one."""

    probabilities: tuple[float, ...]
    truth: int


@dataclass(frozen=True, eq=False)
class ValidationScan:
    """One scan; None for what has no truth, or for a marker that the network does not name."""

    mask: MaskScores | None
    marker: NamedMarker | None


def read_scan(
    predictions: Path, case: Case, options: Options, classes: Sequence[str]
) -> ValidationScan:
    """Read what was predicted of a scan and hold it against the truth.

    Raises:
        InputError: If a file is missing or cannot be read, lies on another grid than the truth, or
            its marker is of other classes or was calibrated already.
    """
    folder = predictions / case.case_id
    return ValidationScan(_mask(folder, case, options), _marker(folder, case, classes))


def _mask(folder: Path, case: Case, options: Options) -> MaskScores | None:
    if case.mask is None:
        return None
    probability, truth = read_volume(folder / "probability.nii.gz"), read_volume(case.mask)
    if not same_grid(probability, truth):
        raise InputError(
            "the probability does not lie on the grid of the true mask",
            where=case.case_id,
            remedy="Draw the mask on the scan itself, or leave its cell in the manifest blank.",
        )
    return score_mask(
        probability.data,
        truth.data > 0,
        options,
        voxel_volume_ml=truth.voxel_volume_ml,
        patient_id=case.patient_id,
    )


def _marker(folder: Path, case: Case, classes: Sequence[str]) -> NamedMarker | None:
    path = folder / "result.json"
    named = read_result(path).marker
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
    return NamedMarker(chances, list(classes).index(case.marker))


def _require_raw(named: Marker, classes: Sequence[str], path: Path) -> None:
    if named.calibrated or set(named.probabilities) != set(classes):
        raise InputError(
            f"is no raw prediction of the classes {', '.join(classes)}",
            where=path,
            remedy="Delete the folder and repeat plgg train.",
        )
