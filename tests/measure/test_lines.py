"""Lines of flat shapes whose answers can be read off squared paper."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from plgg.measure.diameters import cross, length, outline


def measured(shape, stretch=(1.0, 1.0)):
    found = cross(outline(np.asarray(shape, dtype=bool)) * stretch)
    return length(found.largest), length(found.across)


def middles(shape):
    """Middles of all sides of all voxels: what the longest line must run between."""
    steps = 0.5 * np.array([(1, 0), (-1, 0), (0, 1), (0, -1)])
    return (np.argwhere(shape)[:, None] + steps).reshape(-1, 2)


def test_one_voxel_measures_its_spacing():
    assert measured([[1]]) == pytest.approx((1, 1))
    assert measured([[1]], stretch=(3, 2)) == pytest.approx((3, 2))


def test_a_row_is_as_long_as_its_voxels():
    assert measured(np.ones((10, 1))) == pytest.approx((10, 1))


def test_a_disc_measures_its_diameter_both_ways():
    for radius in np.arange(4.0, 12.0, 0.37):
        i, j = np.indices((30, 30)) - 14.6
        assert measured(np.hypot(i, j) <= radius) == pytest.approx((2 * radius,) * 2, abs=1.0)


def test_a_plus_has_two_equal_lines():
    plus = np.zeros((9, 9))
    plus[4] = plus[:, 4] = 1
    assert measured(plus) == pytest.approx((9, 9))


def test_holes_are_measured_across():
    i, j = np.indices((25, 25)) - 12
    disc, hole = np.hypot(i, j) <= 10.2, np.hypot(i, j) <= 8
    assert measured(disc & ~hole) == measured(disc)


def test_a_bay_is_measured_across_too():
    horseshoe = np.ones((12, 21))
    horseshoe[3:, 4:17] = 0
    assert measured(horseshoe) == measured(np.ones((12, 21)))


def test_the_line_across_is_one_line_not_the_width():
    # A bar with a spike to either side: 11 wide, but nowhere on one line.
    shape = np.zeros((40, 20))
    shape[:, 10] = shape[5, 10:16] = shape[34, 5:11] = 1
    largest, across = measured(shape)
    assert largest == pytest.approx(40)
    assert across == pytest.approx(6)


@pytest.mark.parametrize("seed", range(8))
def test_the_largest_line_is_the_longest_between_any_two_sides(seed):
    shape = np.random.default_rng(seed).random((9, 11)) < 0.7
    shape[4], shape[:, 5] = True, True
    largest, across = measured(shape)
    assert largest == pytest.approx(pdist(middles(shape)).max())
    assert across <= largest


@pytest.mark.parametrize("seed", range(8))
def test_lines_are_at_a_right_angle_and_end_on_the_outline(seed):
    shape = np.random.default_rng(seed).random((9, 11)) < 0.7
    shape[4], shape[:, 5] = True, True
    pieces = outline(shape)
    found = cross(pieces)
    directions = np.diff(found.largest, axis=0)[0], np.diff(found.across, axis=0)[0]
    assert np.dot(*directions) == pytest.approx(0, abs=1e-9)
    for end in (*found.largest, *found.across):
        through = np.linalg.norm(pieces - end, axis=2).sum(axis=1)
        straight = np.linalg.norm(pieces[:, 1] - pieces[:, 0], axis=1)
        assert (through - straight).min() == pytest.approx(0, abs=1e-9)


def test_turning_and_mirroring_changes_nothing():
    i, j = np.indices((30, 26))
    shape = (np.hypot(i - 12, j - 10) < 9) | (np.hypot(i - 20, j - 18) < 5)
    for other in (shape[::-1], shape[:, ::-1], shape.T, np.rot90(shape)):
        assert measured(other) == pytest.approx(measured(shape))
