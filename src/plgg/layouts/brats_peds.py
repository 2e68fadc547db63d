"""BraTS-PEDs: children, `BraTS-PED-00001-000/BraTS-PED-00001-000-t2f.nii.gz` and `-seg`.

The names are built as the adult challenge's; every label above 0 is tumour (also the cysts).
"""

from __future__ import annotations

from pathlib import Path

from plgg.layouts.brats import find_named, prepare
from plgg.layouts.found import Choices, Found, Layout


def find(root: Path, choices: Choices) -> Found:
    """Scans of the pediatric challenges below a folder."""
    return find_named(root, r"brats-peds?-\d+-\d+", choices)


LAYOUT = Layout(find, prepare, "BraTS-PED-00001-000-t2f.nii.gz")
