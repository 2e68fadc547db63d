"""A native scan, whatever it is kept as: NIfTI, or DICOM as a folder, a zip or one file.

The one door through which scans come in. Knows nothing of what they show.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from plgg.errors import InputError
from plgg.io.dicom import is_dicom, read_dicom
from plgg.io.files import sha256
from plgg.io.nifti import (
    geometry_conflict_mm,
    is_nifti,
    orientation_is_known,
    read_volume,
    stem,
)
from plgg.volume import Volume


@dataclass(frozen=True, eq=False)
class Scan:
    """A scan as it was found.

    Attributes:
        volume: float32, in its own orientation, RAS+ in mm.
        chosen: Of DICOM, which series was taken and why; identifies no one.
        doubts: What its header leaves in doubt, one clause each.
        age_years: Of DICOM, at the scan, where the header says.
        sex: Of DICOM, `F` or `M`, where the header says.
    """

    volume: Volume
    chosen: str | None = None
    doubts: tuple[str, ...] = ()
    age_years: float | None = None
    sex: str | None = None


def open_scan(path: Path) -> Scan:
    """Read one scan, and say what was chosen and what is in doubt.

    Args:
        path: A NIfTI file, or a folder, a zip or an enhanced file of DICOM.

    Raises:
        InputError: If there is nothing, or nothing that can be read as one upright scan.
    """
    if not path.exists():
        raise InputError("no such file", where=path, remedy="Check the path in the manifest.")
    if not is_nifti(path) and is_dicom(path):
        found = read_dicom(path)
        return Scan(
            found.volume,
            f"{found.series}: {found.why}",
            found.doubts,
            age_years=found.age_years,
            sex=found.sex,
        )
    return Scan(read_volume(path), None, tuple(_doubts(path)))


def read_scan(path: Path) -> Volume:
    """The image of a scan; see `open_scan`."""
    return open_scan(path).volume


def _doubts(path: Path) -> Iterator[str]:
    if not orientation_is_known(path):
        yield "its header does not say how it lies: left, front and up are guesses"
    gap = geometry_conflict_mm(path)
    if gap is not None:
        yield f"sform and qform put it up to {gap:.0f} mm apart, and the sform was taken"


def scan_name(path: Path) -> str:
    """What a scan is called after its path: the name without a NIfTI's or a zip's suffix."""
    if is_nifti(path):
        return stem(path)
    return path.name.removesuffix(".zip").removesuffix(".dcm") or path.resolve().name


def scan_sha256(path: Path) -> str | None:
    """SHA-256 of a scan's bytes: of the file, or of all files below a folder and their names.

    None where there is nothing.
    """
    if path.is_file():
        return sha256(path)
    if not path.is_dir():
        return None
    whole = hashlib.sha256()
    for file in sorted(file for file in path.rglob("*") if file.is_file()):
        whole.update(f"{file.relative_to(path).as_posix()}\n{sha256(file)}\n".encode())
    return whole.hexdigest()
