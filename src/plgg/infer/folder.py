"""The folder of one prediction: written whole or not at all, and known again.

OUT/CASE/mask.nii.gz          tumour, uint8
OUT/CASE/probability.nii.gz   of tumour, 0 to 1
OUT/CASE/uncertainty.nii.gz   entropy of that, 0 to 1 bit
OUT/CASE/segmentation.dcm     DICOM SEG, where the scan was DICOM
OUT/CASE/result.json          volume, marker, what it was made from and with
OUT/CASE/report.html          the same to look at, where pages are wanted
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from plgg.errors import InputError, OutputError
from plgg.io.files import make_folder
from plgg.io.result import Result, read_result

MASK = "mask.nii.gz"
PROBABILITY = "probability.nii.gz"
UNCERTAINTY = "uncertainty.nii.gz"
SEGMENTATION = "segmentation.dcm"
RESULT = "result.json"
REPORT = "report.html"


@contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """A new folder beside this one, which takes its place if nothing goes wrong.

    Raises:
        OutputError: If it cannot be written.
    """
    aside = folder.with_name(f".{folder.name}")
    shutil.rmtree(aside, ignore_errors=True)
    make_folder(aside)
    try:
        yield aside
        shutil.rmtree(folder, ignore_errors=True)
        aside.rename(folder)
    except OSError as error:
        raise OutputError(
            f"could not be written ({error.strerror or error})", where=folder
        ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def kept_result(folder: Path, files: Iterable[str]) -> Result | None:
    """The result in a folder that holds all of these files; None if it does not."""
    if not all((folder / name).is_file() for name in files):
        return None
    try:
        return read_result(folder / RESULT)
    except InputError:
        return None
