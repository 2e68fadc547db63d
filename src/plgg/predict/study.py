"""DICOM objects of a prediction, for the study that the scan came from.

Where the source does not allow one of the objects, only that one is missing, and the result warns
of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from plgg.core.errors import InputError
from plgg.core.volume import Volume
from plgg.data.dicom.document import write_document
from plgg.data.dicom.findings import findings_of
from plgg.data.dicom.measurements import write_measurements
from plgg.data.dicom.objects import DOCUMENT, MEASUREMENTS, SEGMENTATION, STRUCTURES
from plgg.data.dicom.origin import UNKNOWN, Origin, origin_of
from plgg.data.dicom.segmentation import segmentation
from plgg.data.dicom.source import SourceFrames, source_frames
from plgg.data.dicom.structures import write_structures
from plgg.data.dicom.write import save
from plgg.data.labels import region
from plgg.data.result import Result, labels_of

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_LOST = {
    SEGMENTATION: "no DICOM SEG was made",
    MEASUREMENTS: "no DICOM SR was made",
    STRUCTURES: "no DICOM RTSTRUCT was made",
}


@dataclass(frozen=True, eq=False)
class StudyObjects:
    """The objects of a prediction that were written.

    Attributes:
        lost: A warning for each object that could not be written.
        frames: The source frames; None where nothing was written.
        segmentation: The SEG.
        origin: What made the objects.
    """

    lost: tuple[str, ...] = ()
    frames: SourceFrames | None = None
    segmentation: Dataset | None = None
    origin: Origin = UNKNOWN

    def write_document(self, folder: Path, pdf: Path) -> None:
        """Write the report as an object of the study, if there is a SEG.

        Raises:
            PlggError: If it cannot be written.
        """
        if self.frames is not None and self.segmentation is not None:
            write_document(
                folder / DOCUMENT,
                pdf.read_bytes(),
                frames=self.frames,
                segmentation=self.segmentation,
                origin=self.origin,
            )


def write_study_objects(
    folder: Path,
    mask: Volume,
    source: Path,
    result: Result,
    *,
    structures: bool,
    numbers: Volume | None = None,
) -> StudyObjects:
    """Write the SEG, the SR of its measurements and, where asked for, the RTSTRUCT.

    Args:
        folder: Folder to write to.
        mask: Tumour on the native grid, boolean.
        source: The DICOM that was read.
        result: The result of the scan.
        structures: Whether to write the RTSTRUCT.
        numbers: Map of the tumour's regions on the same grid; None without regions.

    Raises:
        OutputError: If the disk refuses.
    """
    lost: list[str] = []
    origin, inner = origin_of(result), _inner(result, numbers)
    with _recording(lost, SEGMENTATION):
        frames = source_frames(source, mask, result.input.sequences[0])
        outline = segmentation(frames, mask, source, origin, inner=inner)
        save(folder / SEGMENTATION, outline)
    if lost:
        return StudyObjects(tuple(lost))
    with _recording(lost, MEASUREMENTS):
        write_measurements(
            folder / MEASUREMENTS,
            findings_of(result),
            frames=frames,
            segmentation=outline,
            origin=origin,
        )
    if structures:
        with _recording(lost, STRUCTURES):
            write_structures(folder / STRUCTURES, mask, frames=frames, origin=origin, inner=inner)
    return StudyObjects(tuple(lost), frames, outline, origin)


def _inner(result: Result, numbers: Volume | None) -> dict[str, NDArray[np.bool_]]:
    """Regions within the tumour by name, each a segment of its own."""
    labels = labels_of(result)
    if numbers is None:
        return {}
    return {one.name: region(numbers.data, labels, n) for n, one in enumerate(labels) if n}


@contextmanager
def _recording(lost: list[str], name: str) -> Iterator[None]:
    try:
        yield
    except InputError as error:
        lost.append(f"{_LOST[name]}: {error.what}")


def has_study_objects(folder: Path, kept: Result, *, structures: bool, document: bool) -> bool:
    """Whether a prediction holds the objects that are asked for, or warnings for missing ones."""
    if kept.input.kind != "dicom" or _says(kept, SEGMENTATION):
        return True
    wanted = [SEGMENTATION, MEASUREMENTS]
    wanted += [STRUCTURES] if structures else []
    wanted += [DOCUMENT] if document else []
    return all((folder / name).is_file() or _says(kept, name) for name in wanted)


def _says(kept: Result, name: str) -> bool:
    lost = _LOST.get(name)
    return lost is not None and any(warning.startswith(lost) for warning in kept.warnings)
