"""What is read off a mask and its probabilities: parts, diameters, certainty, change."""
