"""Shared basics: errors, files, volumes, progress, worker processes. No settings."""
