"""Reading DICOM: find the files, describe each frame, choose the series, lay it out, read it.

    find (zipped) → frame (header) → stack → choose → geometry: series
    series → read (decode): the pixels
    source → segmentation, measurements, structures, document: what goes back to the study (objects)

Nothing that identifies a patient leaves this package, but for these objects, which belong into the
patient's own study. Mosaics and gantry tilt are refused, not mended.
"""
