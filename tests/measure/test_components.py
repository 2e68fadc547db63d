"""Connected parts: which there are, and which stay."""

import numpy as np
import pytest

from helper import ODD_AFFINES, SHAPE
from plgg.core.volume import Volume, apply_affine
from plgg.measure.components import components, largest_part, remove_small_components


def three_parts():
    """Parts of 27, 8 and 1 voxels; the last two nearly touch."""
    mask = np.zeros((20, 18, 16), dtype=bool)
    mask[2:5, 2:5, 2:5] = True
    mask[10:12, 10:12, 10:12] = True
    mask[13, 13, 13] = True
    return mask


@pytest.mark.parametrize(
    ("smallest_ml", "voxels"), [(0.0, 36), (0.001, 36), (0.008, 35), (0.009, 27), (5.0, 27)]
)
def test_parts_below_the_limit_go_unless_all_are_below(smallest_ml, voxels):
    kept = remove_small_components(three_parts(), voxel_volume_ml=0.001, smallest_ml=smallest_ml)
    assert np.count_nonzero(kept) == voxels
    assert not (kept & ~three_parts()).any()


def test_removing_twice_is_removing_once():
    once = remove_small_components(three_parts(), voxel_volume_ml=1.0, smallest_ml=5)
    again = remove_small_components(once, voxel_volume_ml=1.0, smallest_ml=5)
    np.testing.assert_array_equal(once, again)


def test_the_mask_given_is_left_alone():
    mask = three_parts()
    remove_small_components(mask, voxel_volume_ml=1.0, smallest_ml=9)
    np.testing.assert_array_equal(mask, three_parts())


def test_voxels_that_touch_by_a_corner_are_one_part():
    mask = np.zeros((4, 4, 4), dtype=bool)
    mask[1, 1, 1] = mask[2, 2, 2] = True
    assert len(components(Volume(mask, np.eye(4)))) == 1


def test_of_equal_parts_all_small_only_one_stays():
    mask = np.zeros((5, 3, 3), dtype=bool)
    mask[0, 0, 0] = mask[4, 2, 2] = True
    assert np.count_nonzero(largest_part(mask)) == 1


def test_nothing_has_no_parts():
    empty = np.zeros((3, 4, 5), dtype=bool)
    assert components(Volume(empty, np.eye(4))) == ()
    assert not remove_small_components(empty, voxel_volume_ml=1.0, smallest_ml=1.0).any()
    assert not largest_part(empty).any()


@pytest.mark.parametrize("name", ODD_AFFINES)
def test_parts_come_largest_first_with_their_place_in_the_world(name):
    affine = ODD_AFFINES[name]
    mask = np.zeros(SHAPE, dtype=np.uint8)
    mask[1, 2, 3] = 1
    mask[10:15, 20:23, 7:9] = 1
    large, small = components(Volume(mask, affine))
    voxel_ml = Volume(mask, affine).voxel_volume_ml
    assert (large.volume_ml, small.volume_ml) == pytest.approx((30 * voxel_ml, voxel_ml), abs=1e-5)
    np.testing.assert_allclose(large.centre_mm, apply_affine(affine, [12, 21, 7.5]), atol=1e-3)
    np.testing.assert_allclose(small.centre_mm, apply_affine(affine, [1, 2, 3]), atol=1e-3)


def test_volumes_of_the_parts_add_up_to_that_of_the_mask():
    speckled = Volume(np.random.default_rng(0).random((30, 30, 30)) > 0.9, np.diag([1, 2, 3, 1.0]))
    found = components(speckled)
    assert len(found) > 10
    total = speckled.data.sum() * speckled.voxel_volume_ml
    assert sum(part.volume_ml for part in found) == pytest.approx(total, abs=1e-3)
