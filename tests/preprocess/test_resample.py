"""Interpolation and the low-pass before it, against closed forms and scipy."""

import numpy as np
import pytest
from phantoms import GRID
from scipy import ndimage

from helper import make_affine, world_points
from plgg.core.volume import Volume, apply_affine
from plgg.preprocess.normalise import normalise_scan
from plgg.preprocess.resample import resample, smooth_for

RANDOM = np.random.default_rng(0).normal(size=(9, 7, 11)).astype(np.float32)


def moved(offset):
    matrix = np.eye(4)
    matrix[:3, 3] = offset
    return matrix


def impulse(n=41):
    data = np.zeros((n, n, n), np.float32)
    data[n // 2, n // 2, n // 2] = 1.0
    return data


def test_the_identity_is_exact():
    np.testing.assert_array_equal(resample(RANDOM, np.eye(4), RANDOM.shape), RANDOM)


def test_whole_voxels_are_exact_and_outside_is_zero():
    out = resample(RANDOM, moved((2, -1, 3)), RANDOM.shape)
    np.testing.assert_array_equal(out[:-2, 1:, :-3], RANDOM[2:, :-1, 3:])
    assert not out[-2:].any()
    assert not out[:, :1].any()
    assert not out[..., -3:].any()


def test_axes_are_not_mixed_up():
    swap = np.eye(4)[[2, 0, 1, 3]]
    out = resample(RANDOM, swap, (7, 11, 9))
    np.testing.assert_array_equal(out, RANDOM.transpose(1, 2, 0))


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, np.float64])
def test_any_type_becomes_float32(dtype):
    data = (np.abs(RANDOM) * 3).astype(dtype)
    out = resample(data, np.eye(4), data.shape)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, data, rtol=1e-6)


def test_views_are_read_right():
    np.testing.assert_array_equal(
        resample(RANDOM.T[::-1], np.eye(4), RANDOM.T.shape), RANDOM.T[::-1]
    )


def test_it_agrees_with_scipy_inside():
    matrix = make_affine((0.7, 0.9, 0.6), axes="PSR", turn_degrees=(20, -10, 5), shape=(8, 8, 8))
    matrix[:3, 3] += (np.array(RANDOM.shape) - 1) / 2
    points = apply_affine(matrix, np.moveaxis(np.indices((8, 8, 8)), 0, -1))
    expected = ndimage.map_coordinates(RANDOM, np.moveaxis(points, -1, 0), order=1)
    inside = ((points >= 0) & (points <= np.array(RANDOM.shape) - 1)).all(axis=-1)
    assert inside.mean() > 0.5
    out = resample(RANDOM, matrix, (8, 8, 8))
    np.testing.assert_allclose(out[inside], expected[inside], atol=1e-5)


def test_a_voxel_reaches_half_a_voxel_out():
    data = np.full((3, 3, 3), 2.0, np.float32)
    assert resample(data, moved((-0.49, 0, 0)), (1, 1, 1)).item() == pytest.approx(2.0)
    assert resample(data, moved((-0.51, 0, 0)), (1, 1, 1)).item() == 0.0


@pytest.mark.parametrize("n", [1, 2])
def test_thin_images_are_no_exception(n):
    data = RANDOM[:, :, :n]
    np.testing.assert_array_equal(resample(data, np.eye(4), data.shape), data)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.8, 1.3, 5.0)])
def test_the_mean_is_kept(spacing):
    inner = np.random.default_rng(0).normal(50, 10, (9, 9, 9))
    data = np.pad(inner, 12).astype(np.float32)
    smooth = smooth_for(data, spacing_mm=np.array(spacing), target_mm=4.0)
    assert smooth.sum(dtype=np.float64) == pytest.approx(data.sum(dtype=np.float64), rel=1e-5)
    np.testing.assert_allclose(
        ndimage.center_of_mass(smooth), ndimage.center_of_mass(data), atol=1e-3
    )


def test_an_even_image_stays_even_to_its_edge():
    flat = np.full((7, 8, 9), 3.0, np.float32)
    smooth = smooth_for(flat, spacing_mm=np.ones(3), target_mm=6.0)
    np.testing.assert_allclose(smooth, 3.0, rtol=1e-6)


def test_the_response_is_widened_to_the_target():
    """FWHM² = target² - spacing² along each finer axis, 0 along a coarser one."""
    spacing = np.array([1.0, 2.0, 5.0])
    smooth = smooth_for(impulse(), spacing_mm=spacing, target_mm=4.0).astype(np.float64)
    points = (np.moveaxis(np.indices(smooth.shape), 0, -1) - 20) * spacing
    variance = (np.square(points) * smooth[..., None]).sum(axis=(0, 1, 2))
    # Cut at 3 σ, a Gaussian keeps 97 % of its variance.
    expected = np.array([15.0, 12.0, 0.0]) / (8 * np.log(2))
    np.testing.assert_allclose(variance, expected, rtol=0.04, atol=1e-9)
    assert not np.delete(smooth, 20, axis=2).any()


@pytest.mark.parametrize("spacing", [2.0, 3.0])
def test_a_grid_that_is_not_coarser_changes_nothing(spacing):
    out = smooth_for(RANDOM, spacing_mm=np.full(3, spacing), target_mm=2.0)
    np.testing.assert_array_equal(out, RANDOM)


@pytest.mark.parametrize("target_mm", [2.0, 4.0, 8.0])
def test_a_crop_around_the_brain_is_smoothed_as_the_whole(target_mm):
    """Mirrored at the crop's edge, a fine brain would meet itself and grow."""
    whole = np.zeros((90, 90, 90), np.float32)
    whole[30:60, 30:60, 30:60] = 1.0
    spacing = np.full(3, 0.5)
    full = smooth_for(whole, spacing_mm=spacing, target_mm=target_mm)
    near = (slice(28, 62),) * 3
    crop = smooth_for(whole[near], spacing_mm=spacing, target_mm=target_mm)
    np.testing.assert_allclose(crop, full[near], atol=2e-5 if target_mm < 4 else 2e-2)
    np.testing.assert_array_equal(crop > 0.5, full[near] > 0.5)


def test_fine_stripes_do_not_alias():
    """Stripes of 3 mm, oblique to both grids, cannot be shown at 4 mm: they must turn grey."""
    shape = (130, 130, 130)
    affine = make_affine((1.0, 1.0, 1.0), turn_degrees=(17, 11, -23), shape=shape)
    points = world_points(shape, affine)
    brain = np.linalg.norm(points, axis=-1) <= 58
    slow = np.cos(2 * np.pi * points[..., 0] / 60.0)
    stripes = np.cos(2 * np.pi * points[..., 0] / 3.0)
    plain = Volume(np.where(brain, 100 + 10 * slow, 0).astype(np.float32), affine)
    striped = plain.with_data(np.where(brain, plain.data + 10 * stripes, 0).astype(np.float32))
    one, other = (normalise_scan(scan, None, GRID).image.astype(int) for scan in (plain, striped))
    np.testing.assert_array_equal(one == -128, other == -128)
    # 0.05 σ a code; unfiltered, the stripes would differ by as much as the slow wave itself.
    assert np.abs(one - other).mean() < 1.0
