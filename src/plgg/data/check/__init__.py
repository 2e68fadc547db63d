"""Checking a cohort before anything is spent on it: files, grids, masks, labels, duplicates."""
