"""From a store to batches: who is trained on, which patches, in which order."""
