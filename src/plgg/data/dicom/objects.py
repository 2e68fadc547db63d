"""File names of the DICOM objects that plgg adds to a study, and how to find them in a folder.

    for path in own_objects(Path("predictions/P01")):
        send(path)

Each is written by a module of its own beside this one.
"""

from __future__ import annotations

from pathlib import Path

SEGMENTATION = "segmentation.dcm"
MEASUREMENTS = "measurements.dcm"
STRUCTURES = "rtstruct.dcm"
DOCUMENT = "report.dcm"

OBJECTS = (SEGMENTATION, MEASUREMENTS, STRUCTURES, DOCUMENT)
"""In the order in which they are to be sent: what is referred to comes before what refers to it."""


def own_objects(folder: Path) -> list[Path]:
    """The DICOM files that plgg wrote into a folder.

    Args:
        folder: Of a prediction, or of an edit.

    Returns:
        Those of `OBJECTS` that are there, in that order. Links and all else that is no regular
        file are left out.

    Example:
        >>> own_objects(Path("nowhere"))
        []
    """
    paths = [folder / name for name in OBJECTS]
    return [path for path in paths if path.is_file() and not path.is_symlink()]
