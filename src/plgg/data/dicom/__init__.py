"""Reading DICOM: find the files, describe each frame, choose the series, lay it out, read it.

    find (zipped) → frame (header) → stack → choose → geometry: series
    series → read (decode): the pixels
    source → segmentation: a mask back onto the frames that were read

Nothing that identifies a patient leaves this package, but for the segmentation, which belongs into
the patient's own study. Mosaics and gantry tilt are refused, not mended.
"""
