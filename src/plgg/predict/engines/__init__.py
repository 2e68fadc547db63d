"""Engines that run a trained network: PyTorch, or an export of `plgg export`."""
