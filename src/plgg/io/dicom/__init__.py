"""Reading DICOM: find the files, describe each slice, choose the FLAIR, lay it out, read it.

    find → picture (values, words) → stack → choose → lattice → read (decode)

Nothing that identifies a patient leaves this package. Mosaics and gantry tilt are refused, not
mended; no DICOM is written here.
"""

from plgg.io.dicom.find import is_dicom
from plgg.io.dicom.read import DicomScan, read_dicom

__all__ = ["DicomScan", "is_dicom", "read_dicom"]
