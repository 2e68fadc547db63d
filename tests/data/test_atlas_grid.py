"""Laying on SRI24's grid: exact where the grids coincide, true to the world elsewhere."""

import nibabel as nib
import numpy as np
import pytest

from plgg.core.volume import Volume, apply_affine
from plgg.data.atlas.grid import (
    AFFINE,
    BRAIN_CENTRE_MM,
    SHAPE,
    box_of,
    grid_part,
    pad_to_grid,
    resample_to_sri24,
)


@pytest.mark.parametrize("axes", ["LPS", "RAS", "LAS", "PSR", "IRA", "SLP"])
def test_turned_and_shifted_grids_are_copied_without_interpolation(axes):
    data = np.random.default_rng(1).random(SHAPE, dtype=np.float32)
    affine = AFFINE.copy()
    affine[:3, 3] = apply_affine(AFFINE, np.array([3, 5, 0]))
    image = nib.Nifti1Image(data[3:-2, 5:, :-7], affine)
    turn = nib.orientations.ornt_transform(
        nib.io_orientation(affine), nib.orientations.axcodes2ornt(axes)
    )
    stored = image.as_reoriented(turn)
    assert "".join(nib.aff2axcodes(stored.affine)) == axes
    laid = resample_to_sri24(Volume(np.asarray(stored.dataobj), stored.affine))
    expected = np.zeros(SHAPE, dtype=np.float32)
    expected[3:-2, 5:, :-7] = data[3:-2, 5:, :-7]
    np.testing.assert_array_equal(laid, expected)


def distance_mm(affine, shape):
    points = apply_affine(affine, np.moveaxis(np.indices(shape, dtype=np.float32), 0, -1))
    return np.linalg.norm(points - BRAIN_CENTRE_MM, axis=-1)


def test_other_grids_are_interpolated_in_the_same_world():
    affine = np.diag([2.0, 2.0, 2.5, 1.0])
    affine[:3, 3] = (-230.3, 3.2, -4.1)
    affine[:3, :3] = affine[:3, :3] @ np.array([[1, 0.05, 0], [-0.05, 1, 0], [0, 0, 1]])
    far = distance_mm(affine, (115, 120, 66))
    laid = resample_to_sri24(Volume(np.where(far <= 60, 100 - far, 0).astype(np.float32), affine))
    near = distance_mm(AFFINE, SHAPE)
    np.testing.assert_allclose(laid[near <= 55], 100 - near[near <= 55], atol=1.5)
    assert not laid[near > 65].any()
    assert not resample_to_sri24(Volume(np.zeros((4, 4, 4)), affine)).any()


@pytest.mark.parametrize("affine", [AFFINE, np.diag([-3.0, 2.0, 4.0, 1.0])])
def test_a_box_holds_all_that_is_inside_and_lies_within_the_grid(affine):
    inside = np.zeros((60, 70, 38), dtype=bool)
    inside[10:50, 20:60, 30:] = True
    box = box_of(inside, affine)
    shape, corner = grid_part(box)
    assert all(0 <= part.start < part.stop <= n for part, n in zip(box, SHAPE, strict=True))
    whole = resample_to_sri24(Volume(inside.astype(np.float32), affine))
    np.testing.assert_array_equal(pad_to_grid(whole[box], box), whole)
    assert whole[box].shape == shape
    first = apply_affine(AFFINE, np.array([part.start for part in box]))
    np.testing.assert_allclose(corner[:3, 3], first)
