"""Evaluate predictions of plgg or of any other tool against true masks, without torch."""
