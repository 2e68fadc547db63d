"""Metrics on arrays: overlap, surfaces, classification, calibration, intervals. No torch."""
