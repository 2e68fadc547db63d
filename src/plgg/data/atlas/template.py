"""The built-in template: nilearn's MNI152 brain and tissue maps, and where they lie in SRI24.

The maps come inside nilearn's wheel, so nothing is downloaded. One stored affine brings them into
the world of the SRI24 atlas; how it was found is told in docs/adr/0002-built-in-template.md.
"""

from __future__ import annotations

from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from plgg.core.volume import Affine, Volume

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
    """
    from nilearn import datasets  # Takes a second to import, and few commands need it.

    load = {
        "t1": datasets.load_mni152_template,
        "grey": datasets.load_mni152_gm_template,
        "white": datasets.load_mni152_wm_template,
    }[name]
    image = load(resolution=1)
    data = np.clip(image.get_fdata(dtype=np.float32), 0.0, 1.0)
    data.setflags(write=False)
    return Volume(data, np.asarray(image.affine, dtype=np.float64))


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
    brain = _sample((template.data > 0).astype(np.float32), to_template, shape) > 0.5
    image = _sample(template.data, to_template, shape)
    return Volume(np.where(brain, np.maximum(image, 1e-3), 0.0).astype(np.float32), affine)


def _sample(
    data: NDArray[np.float32], to_template: Affine, shape: tuple[int, int, int]
) -> NDArray[np.float32]:
    sampled = ndimage.affine_transform(
        data, to_template[:3, :3], to_template[:3, 3], output_shape=shape, order=1
    )
    return np.asarray(sampled, dtype=np.float32)
