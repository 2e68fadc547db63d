"""The folder of one prediction: written whole or not at all, and known again.

OUT/CASE/mask.nii.gz          tumour, uint8
OUT/CASE/probability.nii.gz   of tumour, 0 to 1
OUT/CASE/uncertainty.nii.gz   entropy of that, 0 to 1 bit
OUT/CASE/segmentation.dcm     DICOM SEG, where the scan was DICOM
OUT/CASE/result.json          volume, marker, what it was made from and with
OUT/CASE/report.html          the same to look at, where pages are wanted
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from plgg.errors import InputError
from plgg.io.result import Result, read_result

MASK = "mask.nii.gz"
PROBABILITY = "probability.nii.gz"
UNCERTAINTY = "uncertainty.nii.gz"
SEGMENTATION = "segmentation.dcm"
RESULT = "result.json"
REPORT = "report.html"


def kept_result(folder: Path, files: Iterable[str]) -> Result | None:
    """The result in a folder that holds all of these files; None if it does not."""
    if not all((folder / name).is_file() for name in files):
        return None
    try:
        return read_result(folder / RESULT)
    except InputError:
        return None
