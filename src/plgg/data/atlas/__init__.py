"""The atlas that scans are registered to: SRI24, downloaded, given, or a built-in template."""
