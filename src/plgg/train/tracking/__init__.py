"""Experiment tracking in TensorBoard or MLflow, from the lines of `metrics.jsonl`."""
