"""Reading DICOM: find the files, describe each slice, choose the FLAIR, lay it out, read it.

    find (zipped) → picture (header, values, words) → stack → choose → lattice: series
    series → read (decode, padding): the pixels
    source (placing) → segmentation: a mask back onto the frames that were read

Nothing that identifies a patient leaves this package, but for the segmentation, which belongs into
the patient's own study. Mosaics and gantry tilt are refused, not mended.
"""

from plgg.io.dicom.find import is_dicom
from plgg.io.dicom.read import DicomScan, read_dicom

__all__ = ["DicomScan", "is_dicom", "read_dicom"]
