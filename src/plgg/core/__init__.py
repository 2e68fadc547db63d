"""What every room stands on: errors, files, volumes, progress, worker processes. No settings."""
