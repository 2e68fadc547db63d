"""Gates: what is measured of a scan and its registration, against limits set on real scans.

Each file knows one thing that goes wrong and returns one `Verdict`; docs/preprocessing.md says how
the limits were found. Nothing is mended here.
"""
