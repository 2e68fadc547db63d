"""Layouts that people keep scans in, each read into a manifest; `build.LAYOUTS` names them."""
