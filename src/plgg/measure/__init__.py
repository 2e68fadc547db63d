"""What is read off a mask and its probabilities: components, diameters, uncertainty, change."""
