"""The built-in template: nilearn's MNI152 brain and tissue maps, and where they lie in SRI24.

The maps come inside nilearn's wheel, so nothing is downloaded. They are read as files: what nilearn
itself needs (pandas, requests, …) need not be installed. One stored affine brings them into the
world of the SRI24 atlas; docs/adr/0002-built-in-template.md describes how it was computed.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np

from plgg.core.errors import ConfigError
from plgg.core.volume import Affine, Volume
from plgg.data.atlas.grid import interpolated

TemplateMap = Literal["t1", "grey", "white"]

# MNI152 world → SRI24 world, both in mm (RAS+): 12 degrees of freedom, found once.
_MNI_TO_SRI24 = (
    (0.9205, -0.0084, 0.0017, -119.0058),
    (-0.0074, 0.9373, -0.1860, 125.8431),
    (-0.0080, 0.1929, 0.8505, 71.8714),
    (0.0, 0.0, 0.0, 1.0),
)


def mni_to_sri24() -> Affine:
    """4×4 matrix from the world of MNI152 to the world of the SRI24 atlas, both in mm (RAS+)."""
    return np.array(_MNI_TO_SRI24, dtype=np.float64)


@cache
def template_map(name: TemplateMap) -> Volume:
    """One map of the MNI152 template (ICBM 2009a, symmetric), at 1 mm in MNI's own world.

    Args:
        name: `t1` is the skull-stripped T1 in [0, 1], 0 outside the brain; `grey` and `white` are
            tissue probabilities in [0, 1].

    Returns:
        A float32 image that is shared and cannot be written to.

    Raises:
        ConfigError: If the package that holds the maps is not installed.
    """
    import nibabel as nib

    image = nib.nifti1.Nifti1Image.from_filename(_map_file(name))
    data = image.get_fdata(dtype=np.float32)
    data = np.clip(data / data.max(), 0.0, 1.0)
    data.setflags(write=False)
    return Volume(data, np.asarray(image.affine, dtype=np.float64))


_FILES = {"t1": "t1", "grey": "gm", "white": "wm"}


def _map_file(name: TemplateMap) -> Path:
    """Path of a map in the package nilearn, which is located but not imported."""
    spec = find_spec("nilearn")
    for folder in (spec and spec.submodule_search_locations) or ():
        stem = f"mni_icbm152_{_FILES[name]}_tal_nlin_sym_09a_converted.nii.gz"
        if (path := Path(folder) / "datasets" / "data" / stem).is_file():
            return path
    raise ConfigError(
        "the built-in template is not installed: it is a part of the package nilearn",
        remedy="Run: pip install --no-deps nilearn (its own dependencies are not needed).",
    )


def template_brain(shape: tuple[int, int, int], affine: Affine) -> Volume:
    """The template's skull-stripped T1 on a grid in the world of SRI24.

    Args:
        shape: Number of voxels along each axis of the grid.
        affine: 4×4 matrix from its voxels to SRI24's world, in mm.

    Returns:
        A float32 image in [0, 1]: exactly 0 outside the brain, above 0 inside it.
    """
    template = template_map("t1")
    to_template = np.asarray(
        np.linalg.solve(mni_to_sri24() @ template.affine, affine), dtype=np.float64
    )
    brain = interpolated(template.data > 0, to_template, shape) > 0.5
    image = interpolated(template.data, to_template, shape)
    return Volume(np.where(brain, np.maximum(image, 1e-3), 0.0).astype(np.float32), affine)
