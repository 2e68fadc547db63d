"""Preprocessing: resample scans from their native grid to the store's grid, and arrays back."""
