"""The paths of the reading room's API, one noun a file."""
