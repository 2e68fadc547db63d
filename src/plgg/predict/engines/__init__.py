"""What runs a trained network: PyTorch, or what `plgg export` has made of it."""
