"""Training of one network on one split; a run that was killed can be resumed."""
