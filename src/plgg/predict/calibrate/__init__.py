"""Calibration of a run on its validation patients: temperatures, thresholds, intervals."""
