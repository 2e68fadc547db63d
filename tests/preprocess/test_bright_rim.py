"""Most of a bright tumour that was bitten off comes back; a brain without one is left as it is."""

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from plgg.preprocess.brain_extraction import add_bright_rim, cap_at_median, erode_mask

SIDE = 90


def distance(*centre):
    grid = np.indices((SIDE, SIDE, SIDE))
    return np.linalg.norm(np.moveaxis(grid, 0, -1) - np.array(centre), axis=-1)


@pytest.fixture(scope="module")
def head():
    """A brain in a dark skull, under bright fat."""
    centre = distance(45, 45, 45)
    brain = centre <= 28
    return brain, np.where(brain, 100.0, np.where((centre > 33) & (centre < 38), 250.0, 5.0))


def test_a_healthy_brain_is_left_as_it_is(head):
    brain, data = head
    assert add_bright_rim(brain, data.astype(np.float32), 100.0) is brain


def test_a_bitten_tumour_mostly_comes_back_and_the_fat_outside_does_not(head):
    brain, data = head
    tumour = (distance(66, 45, 45) <= 13) & brain
    bitten = brain & (distance(77, 45, 45) > 10)
    data = np.where(tumour, 180.0, data).astype(np.float32)
    lost = (tumour & ~bitten).sum()
    assert lost > 0.05 * tumour.sum()
    mended = add_bright_rim(bitten, data, 100.0)
    assert (tumour & ~mended).sum() < 0.25 * lost
    assert not (mended & (data == 250.0)).any()
    assert (mended & ~brain).sum() < 0.01 * brain.sum()


def test_fat_that_touches_the_brain_is_not_followed(head):
    brain, data = head
    touching = np.where((distance(80, 45, 45) <= 10) & ~brain, 250.0, data)
    mended = add_bright_rim(brain, touching.astype(np.float32), 100.0)
    np.testing.assert_array_equal(mended, brain)


def test_capping_leaves_nothing_brighter_than_the_brain_is(head):
    brain, data = head
    dimmed = cap_at_median(data.astype(np.float32), brain)
    assert dimmed.max() == 100.0
    np.testing.assert_array_equal(dimmed[data <= 100.0], data[data <= 100.0])


@pytest.mark.parametrize("seed", range(6))
def test_what_lies_deep_in_a_mask_is_what_distances_say(seed):
    rng = np.random.default_rng(seed)
    # Balls of about the radius that is asked for, some of them cut off by the array's end.
    centres, radii = rng.uniform(-2, 42, (7, 3)), rng.uniform(4, 9, 7)
    grid = np.moveaxis(np.indices((40, 40, 40)), 0, -1)
    mask = np.any(
        [np.linalg.norm(grid - c, axis=-1) <= r for c, r in zip(centres, radii, strict=True)],
        axis=0,
    )
    expected = distance_transform_edt(mask) >= 6
    found = erode_mask(mask)
    np.testing.assert_array_equal(expected if found is None else found, expected)
    assert (found is None) == (not expected.any())


def test_a_mask_without_an_outside_and_one_without_an_inside():
    assert erode_mask(np.ones((20, 20, 20), dtype=bool)).all()
    assert erode_mask(np.zeros((20, 20, 20), dtype=bool)) is None
