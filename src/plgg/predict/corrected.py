"""`write_corrected`: write a manually corrected mask as new DICOM SEG and SR.

The SEG is of the type SEMIAUTOMATIC. Both refer to the objects of the prediction, and hold the name
of the person who corrected the mask only if it is given. No network is run.
"""

from __future__ import annotations

from pathlib import Path

from plgg.core.errors import InputError, OutputError
from plgg.core.prediction_files import MASK, RESULT
from plgg.core.volume import Volume, same_grid
from plgg.data.dicom.findings import Findings, verdicts_of
from plgg.data.dicom.measurements import write_measurements
from plgg.data.dicom.objects import MEASUREMENTS, OBJECTS, SEGMENTATION, own_objects
from plgg.data.dicom.origin import Correction, origin_of
from plgg.data.dicom.segmentation import segmentation
from plgg.data.dicom.source import source_frames
from plgg.data.dicom.write import read_own, save
from plgg.data.nifti.image import read_volume
from plgg.data.result import RESEARCH_ONLY, Result, read_result
from plgg.measure.diameters import diameters


def write_corrected(
    prediction: Path, mask: Path, out: Path, correction: Correction, scan: Path | None = None
) -> list[Path]:
    """Write a corrected mask as DICOM; see `plgg.api.write_correction`.

    Raises:
        InputError: If the prediction or the mask cannot be read or do not fit, or the scan is gone.
        OutputError: If one of the files is there already, or the disk refuses.
    """
    result = read_result(prediction / RESULT)
    base = prediction / SEGMENTATION
    if result.input.kind != "dicom" or base not in own_objects(prediction):
        return []
    _require_free(out)
    outline = _mask(mask, prediction / MASK)
    model = read_own(base)
    source = scan or Path(result.input.path)
    frames = source_frames(source, outline, result.input.sequences[0])
    if frames.headers[0].StudyInstanceUID != model.StudyInstanceUID:
        raise InputError("is of another study than the prediction", where=source)
    origin = origin_of(result, correction)
    found = segmentation(frames, outline, source, origin, model)
    save(out / SEGMENTATION, found)
    report = prediction / MEASUREMENTS
    write_measurements(
        out / MEASUREMENTS,
        _findings(result, outline, correction),
        frames=frames,
        segmentation=found,
        origin=origin,
        previous=read_own(report) if report in own_objects(prediction) else None,
    )
    return own_objects(out)


def _require_free(out: Path) -> None:
    for name in OBJECTS:
        if (out / name).exists() or (out / name).is_symlink():
            raise OutputError(
                f"holds {name!a} already", where=out, remedy="Choose another output folder."
            )


def _mask(path: Path, predicted: Path) -> Volume:
    mask, base = read_volume(path), read_volume(predicted)
    if not same_grid(mask, base):
        raise InputError(
            "does not lie on the grid of the prediction's mask",
            where=path,
            remedy="Save it on that grid, unresampled.",
        )
    return base.with_data(mask.data > 0)


def _findings(result: Result, mask: Volume, correction: Correction) -> Findings:
    """Measures of a corrected mask, without interval and marker, which are for the model's mask."""
    volume_ml = round(float(mask.data.sum()) * mask.voxel_volume_ml, 4)
    said = f"Edit {correction.number}: measured on an outline that was corrected by hand."
    return Findings(
        volume_ml=volume_ml,
        diameters=diameters(mask),
        verdicts=verdicts_of(result),
        comments=(RESEARCH_ONLY, said),
    )
