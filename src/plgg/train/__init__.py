"""Training one network on one split: a plain loop that a kill cannot harm."""
