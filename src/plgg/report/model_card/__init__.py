"""The model card of a run, made from the run's own files."""
