"""Scoring predictions against the truth, by patient; any tool's masks. No torch."""
