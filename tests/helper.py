"""Small scans with known contents on awkward grids, and their files.

Everything is defined in millimetres and then sampled, so that the same brain can be laid on any
grid. Written with nibabel rather than with plgg, so that reading is tested against another hand.
"""

from pathlib import Path

import nibabel as nib
import numpy as np

from plgg.core.volume import Volume, apply_affine

SHAPE = (36, 40, 32)
BRAIN_RADII_MM = (62.0, 78.0, 58.0)
TUMOUR_CENTRE_MM = (22.0, 15.0, 12.0)
TUMOUR_RADIUS_MM = 18.0


def make_affine(spacing_mm, *, axes="RAS", turn_degrees=(0.0, 0.0, 0.0), shape=SHAPE):
    """Affine of a grid whose centre is the world's origin.

    `axes` says where the array's axes run to before the turn about x, y and z.
    """
    turn = np.eye(3)
    for axis, angle in enumerate(np.deg2rad(turn_degrees)):
        a, b = [other for other in range(3) if other != axis]
        step = np.eye(3)
        step[[a, a, b, b], [a, b, a, b]] = (
            np.cos(angle),
            -np.sin(angle),
            np.sin(angle),
            np.cos(angle),
        )
        turn = step @ turn
    linear = np.zeros((3, 3))
    for column, letter in enumerate(axes):
        row = next(i for i, pair in enumerate(("RL", "AP", "SI")) if letter in pair)
        linear[row, column] = 1.0 if letter in "RAS" else -1.0
    affine = np.eye(4)
    affine[:3, :3] = turn @ linear * np.asarray(spacing_mm, dtype=float)
    affine[:3, 3] = -affine[:3, :3] @ ((np.asarray(shape) - 1) / 2)
    return affine


def _shifted(affine, offset_mm):
    moved = affine.copy()
    moved[:3, 3] += offset_mm
    return moved


# Each fits SHAPE so that the brain of `blob_brain` lies wholly inside.
ODD_AFFINES = {
    "ras": make_affine((4.5, 4.5, 4.5)),
    "las": make_affine((4.5, 4.5, 4.5), axes="LAS"),
    "lps": make_affine((4.5, 4.5, 4.5), axes="LPS"),
    "sagittal": make_affine((4.8, 4.2, 4.9), axes="PSR"),
    "coronal": make_affine((4.6, 4.1, 5.9), axes="LIA"),
    "thick": make_affine((4.4, 4.4, 8.0)),
    "oblique": make_affine((4.8, 5.0, 5.2), turn_degrees=(12.0, -7.0, 20.0)),
    "oblique-lps": make_affine((5.0, 5.0, 5.5), axes="LPS", turn_degrees=(-18.0, 9.0, 25.0)),
    "far": _shifted(make_affine((4.5, 4.5, 4.5), axes="LPI"), (300.0, -250.0, 900.0)),
}


def world_points(shape, affine):
    """World coordinates of every voxel relative to the grid's centre, shape (*shape, 3)."""
    points = apply_affine(affine, np.moveaxis(np.indices(shape), 0, -1))
    return points - apply_affine(affine, (np.asarray(shape) - 1) / 2)


def blob_brain(shape=SHAPE, affine=None, *, seed=0):
    """A skull-stripped brain with one bright tumour, centred on the grid.

    Returns:
        The FLAIR (float32, 0 outside the brain) and the tumour's mask (uint8). The brain is an
        ellipsoid of about 1.2 L, the tumour a ball of about 24 mL, to the right of, before and
        above the centre. The noise comes from `seed`, and unless that is 0 so does a shift of the
        tumour by up to 6 mm along each axis: two patients do not have one mask.
    """
    affine = ODD_AFFINES["ras"] if affine is None else affine
    points = world_points(shape, affine)
    brain = (np.square(points / BRAIN_RADII_MM).sum(axis=-1)) <= 1.0
    random = np.random.default_rng(seed)
    noise = random.normal(0.0, 5.0, shape)
    centre = TUMOUR_CENTRE_MM + (random.uniform(-6.0, 6.0, 3) if seed else np.zeros(3))
    tumour = np.linalg.norm(points - centre, axis=-1) <= TUMOUR_RADIUS_MM
    intensity = 100.0 + 0.2 * points[..., 1] + 80.0 * tumour + noise
    flair = np.where(brain, np.maximum(intensity, 1.0), 0.0).astype(np.float32)
    return Volume(flair, affine), Volume(tumour.astype(np.uint8), affine)


def write_nifti(path, data, affine=None):
    """Write an array of any number of dimensions as NIfTI; returns the path."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(np.asarray(data), np.eye(4) if affine is None else affine), path)
    return path


def write_case(folder, name, *, affine=None, seed=0):
    """Write a healthy FLAIR and mask as `name`_flair.nii.gz and `name`_mask.nii.gz."""
    flair, mask = blob_brain(affine=affine, seed=seed)
    return (
        write_nifti(Path(folder) / f"{name}_flair.nii.gz", flair.data, flair.affine),
        write_nifti(Path(folder) / f"{name}_mask.nii.gz", mask.data, mask.affine),
    )


def write_csv(path, header, *rows):
    """Write a manifest from a header line and row lines."""
    Path(path).write_text("\n".join((header, *rows)) + "\n", encoding="utf-8")
    return Path(path)
