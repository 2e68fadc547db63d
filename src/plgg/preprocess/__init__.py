"""From a scan on its native grid to the store's grid, and back: every step can be undone."""
