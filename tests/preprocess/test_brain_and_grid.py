"""The brain's box and z-score, the atlas grid, and where a brain is put on it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phantoms import GRID

from plgg.core.volume import apply_affine
from plgg.data.atlas.grid import AFFINE, BRAIN_CENTRE_MM, SHAPE
from plgg.preprocess.brain_extraction import bounding_box, brain_mask, z_score
from plgg.preprocess.grid import sri24_grid
from plgg.preprocess.registration.start import centre_on_atlas

BRATS_AFFINE = [[-1, 0, 0, 0], [0, -1, 0, 239], [0, 0, 1, 0], [0, 0, 0, 1]]


def test_at_1_mm_the_grid_is_that_of_brats():
    grid = sri24_grid(1.0)
    assert grid.shape == (240, 240, 155)
    np.testing.assert_array_equal(grid.affine, BRATS_AFFINE)


def test_at_2_mm_it_is_half():
    grid = sri24_grid(2.0)
    assert grid.shape == (120, 120, 78)
    # The centre of the first voxel lies between those of the first two of the atlas.
    np.testing.assert_array_equal(grid.affine[:3, 3], [-0.5, 238.5, 0.5])


@settings(deadline=None)
@given(st.floats(0.5, 8.0))
def test_outer_edges_stay_and_all_is_covered(spacing):
    grid = sri24_grid(spacing)
    first = apply_affine(grid.affine, np.full(3, -0.5))
    np.testing.assert_allclose(first, apply_affine(AFFINE, np.full(3, -0.5)), atol=1e-9)
    size = np.array(grid.shape) * spacing
    assert (size >= np.array(SHAPE) - 1e-6).all()
    assert (size < np.array(SHAPE) + spacing + 1e-6).all()


def test_holes_are_filled_and_open_ones_are_not():
    data = np.zeros((9, 9, 9))
    data[1:8, 1:8, 1:8] = -1.0
    data[4, 4, 4] = 0.0
    data[4, 4, 6:] = 0.0
    brain = brain_mask(data)
    assert brain[4, 4, 4]
    assert not brain[4, 4, 6:].any()
    assert brain.sum() == 7**3 - 2


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(*[st.integers(0, 8)] * 3), min_size=1, max_size=4), st.integers(0, 4))
def test_the_box_is_the_smallest_with_its_margin(points, margin):
    mask = np.zeros((9, 9, 9), dtype=bool)
    mask[tuple(np.array(points).T)] = True
    box = bounding_box(mask, margin=margin)
    low, high = np.min(points, axis=0), np.max(points, axis=0)
    assert [part.start for part in box] == np.maximum(low - margin, 0).tolist()
    assert [part.stop for part in box] == np.minimum(high + margin + 1, 9).tolist()
    assert mask[box].sum() == mask.sum()


def test_the_z_score_is_over_the_brain_alone():
    rng = np.random.default_rng(0)
    image = rng.normal(1e4, 30.0, (20, 20, 20)).astype(np.float32)
    brain = rng.random(image.shape) < 0.3
    scaled = z_score(image, brain)
    assert scaled[brain].mean() == pytest.approx(0.0, abs=1e-3)
    assert scaled[brain].std() == pytest.approx(1.0, abs=1e-3)
    assert not scaled[~brain].any()


def test_an_even_brain_is_no_division_by_zero():
    scaled = z_score(np.full((3, 3, 3), 7.0, np.float32), np.ones((3, 3, 3), dtype=bool))
    assert not scaled.any()


def placed(brain, affine):
    """World points of a brain after its placement."""
    matrix = centre_on_atlas(brain, affine, GRID)
    np.testing.assert_array_equal(matrix[:3, :3], np.eye(3))
    return apply_affine(matrix @ affine, np.argwhere(brain))


def grid_range():
    ends = apply_affine(GRID.affine, np.array([(0, 0, 0), np.array(GRID.shape) - 1]))
    return ends.min(axis=0), ends.max(axis=0)


def test_a_brain_that_fits_is_centred():
    brain = np.zeros((40, 40, 40), dtype=bool)
    brain[10:30, 10:35, 8:30] = True
    brain[10:14, 10:14, 8:34] = True
    points = placed(brain, np.diag([-4.0, 4.0, 4.0, 1.0]))
    np.testing.assert_allclose(points.mean(axis=0), BRAIN_CENTRE_MM, atol=1e-9)


@pytest.mark.parametrize("top", [False, True])
def test_a_brain_that_would_stick_out_is_moved_back_in(top):
    """Long and thin to one side: its centre of mass is far from its middle."""
    brain = np.zeros((60, 60, 38), dtype=bool)
    brain[29:31, 29:31] = True
    brain[15:45, 15:45, :8] = True
    points = placed(brain, np.diag([4.0, 4.0, -4.0 if top else 4.0, 1.0]))
    low, high = grid_range()
    assert (points.min(axis=0) >= low - 1e-9).all()
    assert (points.max(axis=0) <= high + 1e-9).all()
    np.testing.assert_allclose(points.mean(axis=0)[:2], BRAIN_CENTRE_MM[:2], atol=1e-9)


def test_a_brain_longer_than_the_grid_is_spread_over_both_ends():
    brain = np.zeros((20, 20, 60), dtype=bool)
    brain[5:15, 5:15] = True
    points = placed(brain, np.diag([4.0, 4.0, 4.0, 1.0]))
    low, high = grid_range()
    assert points.min(axis=0)[2] < low[2]
    assert points.max(axis=0)[2] > high[2]
