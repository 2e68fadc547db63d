"""Experiments: arms on the same splits, fine-tuning on corrections, transfer, and the demo."""
