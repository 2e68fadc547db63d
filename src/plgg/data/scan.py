"""Read a native scan from NIfTI, or from DICOM as a folder, a zip or one file.

`open_scan` is the entry point for all scans of patients.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from plgg.core.errors import InputError
from plgg.core.regular import is_regular, is_there, open_regular, regular_files, require_readable
from plgg.core.unpack import Plain
from plgg.core.volume import Volume
from plgg.data.budget import require_affordable_file
from plgg.data.dicom.find import is_dicom
from plgg.data.dicom.read import read_dicom
from plgg.data.foreign import convert_reader_errors
from plgg.data.nifti.image import is_nifti, read_nifti, stem


@dataclass(frozen=True, eq=False)
class Scan:
    """A scan, with information from its header.

    Attributes:
        volume: float32, in its own orientation, RAS+ in mm.
        chosen: For DICOM, which series was chosen and why; without patient identifiers.
        doubts: Warnings about its header, one clause each.
        age_years: Age at the scan, from a DICOM header; None if unknown.
        sex: `F` or `M`, from a DICOM header; None if unknown.
        sha256: Hash of its bytes, as `scan_sha256` computes it; None for DICOM, of which only some
            files are read.
        says_how: Whether its header gives an orientation; if not, left, front and up are guesses.
    """

    volume: Volume
    chosen: str | None = None
    doubts: tuple[str, ...] = ()
    age_years: float | None = None
    sex: str | None = None
    sha256: str | None = None
    says_how: bool = True


def open_scan(path: Path, sequence: str = "flair") -> Scan:
    """Read one scan, with the choice of the DICOM series and warnings about the header.

    Args:
        path: A NIfTI file, or a folder, a zip or an enhanced file of DICOM.
        sequence: MR sequence to choose among several DICOM series.

    Raises:
        InputError: If nothing is there, or it cannot be read as one scan on a regular grid.
    """
    require_readable(path, folders=True)
    with convert_reader_errors(lambda: _unreadable(path)):
        if is_nifti(path) or not is_dicom(path):
            _refuse_folder(path)
            found = read_nifti(path)
            return Scan(
                found.volume, doubts=found.doubts, sha256=found.sha256, says_how=found.says_how
            )
        return _dicom(path, sequence)


def _refuse_folder(path: Path) -> None:
    if path.is_dir():
        raise InputError(
            "is a folder without DICOM in it, not a file",
            where=path,
            remedy="Name the file that is meant, or the folder that holds its DICOM files.",
        )


def _dicom(path: Path, sequence: str) -> Scan:
    found = read_dicom(path, sequence=sequence)
    return Scan(
        found.volume,
        f"{found.series}: {found.why}",
        found.doubts,
        age_years=found.age_years,
        sex=found.sex,
    )


def _unreadable(path: Path) -> InputError:
    return InputError("cannot be read as a scan", where=path, remedy="Copy or export it again.")


def read_scan(path: Path) -> Volume:
    """The image of a scan; see `open_scan`."""
    return open_scan(path).volume


def scan_name(path: Path) -> str:
    """Name of a scan: its file or folder name without the suffix of NIfTI, zip or DICOM."""
    if is_nifti(path):
        return stem(path)
    name = path.name.removesuffix(".zip").removesuffix(".dcm")
    return name or Path(os.path.realpath(path)).name


def scan_sha256(path: Path) -> str | None:
    """SHA-256 of a scan's bytes: of the file, or of all files below a folder and their names.

    None where there is nothing.

    Raises:
        InputError: If a file cannot be read, or is one file over the budget.
    """
    if not is_there(path):
        return None
    if is_regular(path):
        require_affordable_file(path.stat().st_size, path)
        return _file_sha256(path)
    whole = hashlib.sha256()
    for file in sorted(regular_files(path, hidden=True)):
        # The bytes of a name, whatever encoding it is in.
        name = os.fsencode(file.relative_to(path).as_posix())
        whole.update(name + f"\n{_file_sha256(file)}\n".encode())
    return whole.hexdigest()


def _file_sha256(path: Path) -> str:
    with convert_reader_errors(lambda: _unreadable(path)), open_regular(path) as handle:
        return Plain(handle).sha256()
