"""Layouts that people keep scans in, each read into a manifest.

One file a layout; `build` writes the manifest. Above io, beside nothing: no other room is asked.
"""

from plgg.layouts import bids, brats, brats_peds, folder, kaggle_lgg
from plgg.layouts.build import Written, build_manifest
from plgg.layouts.found import Choices, Layout

LAYOUTS: dict[str, Layout] = {
    "bids": bids.LAYOUT,
    "brats": brats.LAYOUT,
    "brats-peds": brats_peds.LAYOUT,
    "kaggle-lgg": kaggle_lgg.LAYOUT,
    "folder": folder.LAYOUT,
}

__all__ = ["LAYOUTS", "Choices", "Layout", "Written", "build_manifest"]
