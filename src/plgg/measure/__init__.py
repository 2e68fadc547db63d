"""Measurements of a mask and its probabilities: components, diameters, uncertainty, change."""
