"""Comparison of evaluated results: paired differences with intervals and tests."""
