"""The routes of the reading room's API, one file for each resource."""
