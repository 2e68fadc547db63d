"""A native scan, whatever it is kept as: NIfTI, or DICOM as a folder, a zip or one file.

The one door through which scans come in. Knows nothing of what they show.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from plgg.errors import InputError
from plgg.io.dicom import is_dicom, read_dicom
from plgg.io.files import sha256
from plgg.io.nifti import is_nifti, read_volume, stem
from plgg.volume import Volume


def read_scan(path: Path) -> Volume:
    """Read one scan as float32, in its own orientation, RAS+ in mm.

    Args:
        path: A NIfTI file, or a folder, a zip or an enhanced file of DICOM.

    Raises:
        InputError: If there is nothing, or nothing that can be read as one upright scan.
    """
    if is_nifti(path):
        return read_volume(path)
    if not path.exists():
        raise InputError("no such file", where=path, remedy="Check the path in the manifest.")
    if is_dicom(path):
        return read_dicom(path).volume
    return read_volume(path)


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
