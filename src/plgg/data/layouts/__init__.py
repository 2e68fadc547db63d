"""Common layouts of folders with scans, to build a manifest from; `build.LAYOUTS` lists them."""
