"""The network, its backbones and heads, its checkpoints, and the device it runs on."""
