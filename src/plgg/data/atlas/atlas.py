"""The atlas that scans are registered to: its image, its brain and its tissues on SRI24's grid.

Built in (`plgg.data.atlas.template`), SRI24 itself (a folder, or downloaded once), or one stripped
template in SRI24's space. Each is resampled to the same grid and has a hash of its contents.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plgg.core.errors import InputError
from plgg.core.masks import fill_holes
from plgg.core.regular import is_there
from plgg.core.volume import Volume
from plgg.data.atlas.download import ARCHIVES, BY_HAND, cache_folder, fetch
from plgg.data.atlas.grid import (
    AFFINE,
    SHAPE,
    box_of,
    check_place,
    grid_part,
    pad_to_grid,
    resample_to_sri24,
    sampled,
)
from plgg.data.atlas.template import mni_to_sri24, template_brain, template_map
from plgg.data.nifti.image import SUFFIXES, is_nifti, read_volume, stem

BUILT_IN, SRI24 = "built-in", "sri24"
# Hashes of SRI24 as published, on the grid: image and brain; tissue map (0 to 3, uint8).
SRI24_SHA256 = "3d47bd902baad116a94474963832f9fc7a4ecb5ab53956a200da7a64de41703b"
SRI24_TISSUES_SHA256 = "41756d0e26e3bf35205e5a79e93587e2c83b14572d301a47ff6e9bdea2484231"

Share = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Atlas:
    """One atlas on SRI24's grid; its arrays are shared and read-only.

    Attributes:
        name: `built-in`, `SRI24`, or the name of the file or folder.
        image: float32, 0 outside the brain.
        brain: Boolean array of the grid's shape.
        grey: Fraction of grey matter in [0, 1] on the grid; None if unknown.
        white: Fraction of white matter, likewise.
        csf: Fraction of cerebrospinal fluid, likewise.
        sha256: Hash of image and brain on the grid, whatever their source.
        source: `built-in`, `sri24`, or the absolute path.
    """

    name: str
    image: Volume
    brain: NDArray[np.bool_]
    grey: Share | None
    white: Share | None
    csf: Share | None
    sha256: str
    source: str


def load_atlas(where: str | Path = BUILT_IN) -> Atlas:
    """Load an atlas by name or path, once in each process.

    Args:
        where: `built-in`; `sri24`, which is downloaded the first time; a folder that holds SRI24;
            or one NIfTI file. A path of such a name is written `./sri24`.

    Raises:
        InputError: If there is none, if it cannot be read or downloaded, or if it does not lie in
            SRI24's space.
    """
    if str(where) == BUILT_IN:
        return _loaded(BUILT_IN, None)
    if str(where) == SRI24:
        return _loaded(SRI24, cache_folder())
    path = Path(os.path.expanduser(where))  # noqa: PTH111 - an unknown user is no error
    path = Path(os.path.realpath(path)) if is_there(path) else path
    return _loaded(str(path), path)


@lru_cache(maxsize=2)
def _loaded(source: str, path: Path | None) -> Atlas:
    if path is None:
        return _built_in()
    if source == SRI24:
        return fetch(ARCHIVES, path / SRI24, read=_published)
    there = is_there(path)
    if there and path.is_dir():
        return _from_folder(path, source)
    if there and is_nifti(path):
        return _from_file(path)
    raise InputError(
        "the atlas is no NIfTI file" if there else "no such atlas",
        where=path,
        remedy="Give built-in, sri24, a folder that holds SRI24 or one .nii or .nii.gz file.",
    )


def _built_in() -> Atlas:
    template, to_world = template_map("t1"), mni_to_sri24() @ template_map("t1").affine
    box = box_of(template.data > 0, to_world)
    # Rounded to 1/4096: the last bit of a sum depends on the processor, and the hash must not.
    image = np.rint(template_brain(*grid_part(box)).data * 4096.0) / 4096.0
    brain = image > 0
    grey, white = (
        np.where(brain, sampled(Volume(template_map(kind).data, to_world), box), np.float32(0))
        for kind in ("grey", "white")
    )
    csf = np.clip(brain - grey - white, 0.0, 1.0)
    whole, *tissues = (pad_to_grid(part, box) for part in (image, grey, white, csf))
    return _atlas(whole, whole > 0, tissues=tissues, name=BUILT_IN, source=BUILT_IN)


def _published(folder: Path) -> Atlas:
    """SRI24 from its own files; refused if image, brain or tissues differ in a single voxel."""
    atlas = _from_folder(folder, SRI24)
    tissues = _sha256(_labels(atlas))
    if (atlas.sha256, tissues) != (SRI24_SHA256, SRI24_TISSUES_SHA256):
        raise InputError(
            "is not SRI24 as published: the SHA-256 of its voxels is "
            f"{atlas.sha256[:12]}… (of its tissues {tissues[:12]}…)",
            where=folder,
            remedy="Delete it and try again.",
        )
    return atlas


def _from_folder(folder: Path, source: str) -> Atlas:
    spgr, tissues_path = _find_files(folder)
    tissues = read_volume(tissues_path)
    if not np.isin(tissues.data, (0, 1, 2, 3)).all():
        raise InputError(
            "is no map of tissues: it holds more than 0, 1 (CSF), 2 (grey) and 3 (white)",
            where=tissues_path,
            remedy=BY_HAND,
        )
    check_place(tissues.with_data(tissues.data > 0), tissues_path)
    csf, grey, white = (
        resample_to_sri24(tissues.with_data(tissues.data == kind)) for kind in (1, 2, 3)
    )
    brain = csf + grey + white >= 0.5
    image, shares = resample_to_sri24(_finite(spgr)), [grey, white, csf]
    if np.count_nonzero(image[brain]) < 0.9 * np.count_nonzero(brain):
        raise InputError(
            f"is 0 in over a tenth of the brain that {tissues_path.name} shows: not of one atlas",
            where=spgr,
            remedy=BY_HAND,
        )
    return _atlas(image, brain, tissues=shares, name=folder.name, source=source)


def _find_files(folder: Path) -> tuple[Path, Path]:
    """Paths of `spgr` and `tissues`, both in the folder itself or both in one below."""
    for place in (folder, *sorted(below for below in folder.iterdir() if below.is_dir())):
        spgr, tissues = (
            [path for suffix in SUFFIXES if (path := place / f"{name}{suffix}").is_file()]
            for name in ("spgr", "tissues")
        )
        if spgr and tissues:
            return spgr[0], tissues[0]
    raise InputError(
        "holds no SRI24: looked for spgr and tissues (.nii or .nii.gz) in it and one folder below",
        where=folder,
        remedy=BY_HAND,
    )


def _from_file(path: Path) -> Atlas:
    image = _finite(path)
    inside = image.with_data(fill_holes(image.data != 0))
    check_place(inside, path)
    return _atlas(
        resample_to_sri24(image),
        resample_to_sri24(inside) >= 0.5,
        tissues=None,
        name=stem(path),
        source=str(path),
    )


def _finite(path: Path) -> Volume:
    """Read an image and replace NaN and infinity, which some tools write as background, by 0."""
    image = read_volume(path)
    return image.with_data(np.nan_to_num(image.data, posinf=0.0, neginf=0.0))


def _atlas(
    image: Share,
    brain: NDArray[np.bool_],
    *,
    tissues: Sequence[Share] | None,
    name: str,
    source: str,
) -> Atlas:
    stripped = np.where(brain, image, np.float32(0))
    for array in (stripped, brain, *(tissues or ())):
        array.setflags(write=False)
    sha256 = _sha256(stripped, brain)
    grey, white, csf = tissues or (None, None, None)
    return Atlas(
        name="SRI24" if sha256 == SRI24_SHA256 else name,
        image=Volume(stripped, AFFINE),
        brain=brain,
        grey=grey,
        white=white,
        csf=csf,
        sha256=sha256,
        source=source,
    )


def _labels(atlas: Atlas) -> NDArray[np.uint8]:
    """The map of tissues as published: 1 CSF, 2 grey, 3 white."""
    labels = np.zeros(SHAPE, dtype=np.uint8)
    for kind, share in enumerate((atlas.csf, atlas.grey, atlas.white), start=1):
        if share is not None:
            labels[share > 0.5] = kind
    return labels


def _sha256(*arrays: NDArray[np.float32] | NDArray[np.bool_] | NDArray[np.uint8]) -> str:
    """Hash of the arrays' values in C order and little-endian, independent of file and machine."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()
