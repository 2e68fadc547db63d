"""What the page's viewer draws from: the scan and its maps as images, and how they lie.

A plain dictionary, since it becomes JSON for the page's own script. Knows nothing of that script.
"""

from __future__ import annotations

from typing import Any

from plgg.report.case.letters import edges
from plgg.report.case.shown import AXES, Shown
from plgg.report.case.sprites import columns, grey_image, map_image, mask_image, mosaic


def viewer_data(shown: Shown) -> dict[str, Any]:
    """All that the script needs.

    Returns:
        `shape`, `spacing` (mm), `start` (voxel to look at first), `across` (slices in a row of the
        images), `images` by name, `letters` (left, right, top, bottom) by plane, and `index`: the
        file's voxel index of every slice along each axis.
    """
    images = {
        "grey": grey_image(mosaic(shown.grey)),
        "mask": mask_image(mosaic(shown.mask)),
        "probability": map_image(mosaic(shown.probability)),
    }
    if shown.uncertainty is not None:
        images["uncertainty"] = map_image(mosaic(shown.uncertainty))
    return {
        "shape": list(shown.grey.shape),
        "spacing": [round(float(mm), 5) for mm in shown.spacing_mm],
        "start": list(shown.centre),
        "across": columns(shown.grey.shape),
        "images": images,
        "letters": {
            plane: list(edges(shown.affine, columns=columns_, rows=rows))
            for plane, (_, columns_, rows) in AXES.items()
        },
        "index": [
            [shown.native_index(axis, n) for n in range(size)]
            for axis, size in enumerate(shown.grey.shape)
        ],
    }
