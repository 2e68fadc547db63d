"""The image type: what it refuses, and its geometry against nibabel's."""

import nibabel as nib
import numpy as np
import pytest

from helper import ODD_AFFINES, make_affine
from plgg.core.errors import InputError
from plgg.core.volume import Volume, apply_affine, corner_distance_mm, same_grid, spacing_mm

DATA = np.zeros((4, 5, 6), np.float32)


def shifted(volume, millimetres):
    affine = volume.affine.copy()
    affine[:3, 3] += millimetres
    return Volume(volume.data, affine)


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 6, 1), (7,)])
def test_only_three_dimensions_are_an_image(shape):
    with pytest.raises(InputError, match="3-D"):
        Volume(np.zeros(shape), np.eye(4))


@pytest.mark.parametrize(
    "affine", [np.eye(3), np.full((4, 4), np.nan), np.diag([1.0, np.inf, 1.0, 1.0])]
)
def test_an_affine_is_a_finite_matrix(affine):
    with pytest.raises(InputError, match="finite 4×4"):
        Volume(DATA, affine)


def test_an_affine_can_be_inverted():
    with pytest.raises(InputError, match="cannot be inverted"):
        Volume(DATA, np.diag([1.0, 0.0, 1.0, 1.0]))


def test_the_callers_matrix_is_copied():
    affine = np.eye(4)
    volume = Volume(DATA, affine)
    affine[0, 3] = 9.0
    assert volume.affine[0, 3] == 0.0


@pytest.mark.parametrize("name", ODD_AFFINES)
def test_geometry_agrees_with_nibabel(name):
    affine = ODD_AFFINES[name]
    volume = Volume(DATA, affine)
    sizes = nib.affines.voxel_sizes(affine)
    np.testing.assert_allclose(spacing_mm(affine), sizes)
    np.testing.assert_allclose(volume.spacing_mm, sizes)
    assert volume.voxel_volume_ml == pytest.approx(np.prod(sizes) / 1000)
    points = np.random.default_rng(0).uniform(-50, 50, (2, 7, 3))
    np.testing.assert_allclose(
        apply_affine(affine, points), nib.affines.apply_affine(affine, points)
    )


def test_a_sheared_voxel_has_the_volume_of_its_parallelepiped():
    shear = np.eye(4)
    shear[0, 1] = 0.5
    affine = shear @ np.diag([2.0, 3.0, 4.0, 1.0])
    assert Volume(DATA, affine).voxel_volume_ml == pytest.approx(0.024)


def test_other_contents_keep_the_place():
    volume = Volume(DATA, ODD_AFFINES["oblique"])
    other = volume.with_data(np.ones(DATA.shape, np.uint8))
    assert other.data.all()
    np.testing.assert_array_equal(other.affine, volume.affine)
    with pytest.raises(InputError, match="does not fit"):
        volume.with_data(np.zeros((4, 5, 7)))


def test_a_shift_is_the_distance_of_the_corners():
    volume = Volume(DATA, ODD_AFFINES["oblique"])
    assert corner_distance_mm(volume, shifted(volume, (0.3, 0.0, -0.4))) == pytest.approx(0.5)
    assert same_grid(volume, shifted(volume, 0.05))
    assert not same_grid(volume, shifted(volume, (0.0, 0.0, 0.11)))


def test_a_turn_about_the_centre_is_seen_at_the_corners():
    straight = Volume(DATA, make_affine((1, 1, 1), shape=DATA.shape))
    turned = Volume(DATA, make_affine((1, 1, 1), turn_degrees=(0, 0, 5), shape=DATA.shape))
    expected = 2 * np.sin(np.deg2rad(2.5)) * np.hypot(1.5, 2.0)
    assert corner_distance_mm(straight, turned) == pytest.approx(expected)


def test_grids_of_other_shape_are_never_the_same():
    assert not same_grid(Volume(DATA, np.eye(4)), Volume(DATA[1:], np.eye(4)))
