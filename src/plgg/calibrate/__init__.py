"""What the validation patients of a run teach about its answers: scales, thresholds, errors."""
