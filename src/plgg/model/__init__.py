"""The network: one backbone, heads by name, and its checkpoints."""
