"""File names of a prediction folder.

PREDICTIONS/CASE/mask.nii.gz, labels.nii.gz, probability.nii.gz, uncertainty.nii.gz
PREDICTIONS/CASE/result.json, report.html, report.pdf
"""

MASK = "mask.nii.gz"
"""Tumour on the scan's own grid, 0 or 1."""
LABELS = "labels.nii.gz"
"""The regions of the tumour by number, where there are several."""
PROBABILITY = "probability.nii.gz"
UNCERTAINTY = "uncertainty.nii.gz"
RESULT = "result.json"
REPORT = "report.html"
DOCUMENT = "report.pdf"
