"""Tasks of a network: targets, heads, losses, metrics, and the weighting of tasks."""
