"""The reading room: a local web server where outlines are looked at, corrected and learnt from."""
