"""Curves of a run in TensorBoard or MLflow; `metrics.jsonl` stays the source."""
