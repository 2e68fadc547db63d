"""What the validation patients of a run teach: scales, thresholds, errors."""
