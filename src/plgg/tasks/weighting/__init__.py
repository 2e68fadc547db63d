"""How the tasks are weighted against each other: `loss.weighting` by name."""
