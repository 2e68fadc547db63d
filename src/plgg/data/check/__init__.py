"""Check a cohort before preprocessing: files, grids, masks, labels, duplicates."""
