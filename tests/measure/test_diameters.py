"""Diameters of shapes whose answers are known, on grids of every kind."""

import itertools

import numpy as np
import pytest

from helper import ODD_AFFINES, SHAPE, TUMOUR_RADIUS_MM, blob_brain, make_affine, world_points
from plgg.core.volume import Volume, apply_affine, inverse
from plgg.data.nifti.image import read_volume
from plgg.measure.components import largest_part
from plgg.measure.diameters import diameters, measured_axes, plane_axes

TURNS = {"straight": (0, 0, 0), "oblique": (12, -7, 20), "steep": (-25, 31, 17)}


def blob(spacing_mm=(1.0, 1.0, 1.0), *, turn_degrees=(0, 0, 0), shape=(50, 54, 46)):
    """A lumpy tumour with a satellite."""
    affine = make_affine(spacing_mm, turn_degrees=turn_degrees, shape=shape)
    points = world_points(shape, affine)
    near = [np.linalg.norm(points - np.array(at), axis=-1) for at in ((0, 2, -3), (7, 9, 4))]
    satellite = np.linalg.norm(points - np.array((-17, -17, -15)), axis=-1) < 3
    return Volume((near[0] < 9.3) | (near[1] < 6.1) | satellite, affine)


def numbers(found):
    return found.largest_mm, found.perpendicular_mm, found.depth_mm, found.product_mm2


def test_an_empty_mask_has_none():
    assert diameters(Volume(np.zeros(SHAPE, dtype=np.uint8), np.eye(4))) is None


def test_one_voxel_measures_its_spacing():
    mask = np.zeros((4, 5, 6), dtype=bool)
    mask[1, 2, 3] = True
    found = diameters(Volume(mask, np.diag([1.0, 1.25, 1.5, 1.0])))
    assert numbers(found) == pytest.approx((1.5, 1.25, 1.0, 1.875))
    assert (found.plane, found.slice_index) == ("sagittal", 1)


@pytest.mark.parametrize("name", ODD_AFFINES)
def test_a_ball_measures_its_diameter_on_every_grid(name):
    mask = blob_brain(affine=ODD_AFFINES[name])[1]
    found = diameters(mask)
    voxel = mask.spacing_mm.max()
    assert found.largest_mm == pytest.approx(2 * TUMOUR_RADIUS_MM, abs=voxel)
    assert found.perpendicular_mm == pytest.approx(2 * TUMOUR_RADIUS_MM, abs=voxel)
    assert found.depth_mm == pytest.approx(2 * TUMOUR_RADIUS_MM, abs=voxel)


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("spacing_mm", [(1, 1, 1), (0.8, 1.1, 1.5), (0.9, 0.9, 4.0)])
def test_an_ellipsoid_measures_the_axes_of_its_section(turn, spacing_mm):
    shape = tuple(int(np.ceil(64 / s)) for s in spacing_mm)
    affine = make_affine(spacing_mm, turn_degrees=TURNS[turn], shape=shape)
    radii = np.array([27.0, 15.0, 20.0])
    mask = Volume(np.square(world_points(shape, affine) / radii).sum(axis=-1) <= 1, affine)
    found = diameters(mask)
    axes = plane_axes(affine)
    sections = {}
    for plane, normal in axes.items():
        within = np.delete(affine[:3, :3] / mask.spacing_mm, normal, axis=1)
        bends = np.linalg.eigvalsh(within.T @ np.diag(radii**-2) @ within)
        sections[plane] = 2 / np.sqrt(bends)
    allowed = [plane for plane, axis in axes.items() if axis in measured_axes(affine)]
    assert found.plane == max(allowed, key=lambda plane: np.prod(sections[plane]))
    voxel = np.delete(mask.spacing_mm, axes[found.plane]).max()
    largest, across = sections[found.plane]
    assert found.largest_mm == pytest.approx(largest, abs=voxel)
    assert found.perpendicular_mm == pytest.approx(across, abs=1.5 * voxel)


@pytest.mark.parametrize("turn", TURNS)
def test_the_order_of_the_axes_changes_nothing(turn):
    mask = blob((1.0, 1.1, 1.3), turn_degrees=TURNS[turn])
    expected = diameters(mask)
    for order in itertools.permutations(range(3)):
        for signs in ((1, 1, 1), (-1, 1, -1), (1, -1, -1)):
            to_old = np.eye(4)
            to_old[:3, :3] = np.eye(3)[:, order] * signs
            ends = np.array(mask.shape)[list(order)] - 1
            to_old[:3, 3] -= to_old[:3, :3] @ np.where(np.array(signs) < 0, ends, 0)
            data = mask.data.transpose(order)[tuple(slice(None, None, s) for s in signs)]
            found = diameters(Volume(data, mask.affine @ to_old))
            assert found.plane == expected.plane
            assert numbers(found) == pytest.approx(numbers(expected), abs=2e-3)


def test_shear_and_distance_are_measured_in_the_world():
    mask = np.zeros((12, 12, 3), dtype=bool)
    mask[2:10, 5, 1] = True
    affine = np.array([[1, 0.5, 0, 300], [0, 1, 0, -200], [0, 0.3, 6, 50], [0, 0, 0, 1.0]])
    found = diameters(Volume(mask, affine))
    assert found.plane == "axial"
    # A row of eight, one voxel wide: the line across it is at a right angle in mm.
    assert found.largest_mm == pytest.approx(8, abs=0.1)
    assert found.perpendicular_mm == pytest.approx(np.hypot(1, 0.3), abs=0.06)
    assert found.depth_mm == pytest.approx(6 / np.hypot(1, 0.3), abs=1e-3)


@pytest.mark.parametrize("turn", TURNS)
def test_the_ends_are_those_of_the_lines_in_their_slice(turn):
    mask = blob((1.0, 0.9, 1.4), turn_degrees=TURNS[turn])
    found = diameters(mask)
    a, b, c, d = (np.array(end) for end in found.ends_mm)
    assert np.linalg.norm(b - a) == pytest.approx(found.largest_mm, abs=3e-3)
    assert np.linalg.norm(d - c) == pytest.approx(found.perpendicular_mm, abs=3e-3)
    assert np.dot(b - a, d - c) == pytest.approx(0, abs=0.05)
    indices = apply_affine(inverse(mask.affine), np.array(found.ends_mm))
    np.testing.assert_allclose(
        indices[:, plane_axes(mask.affine)[found.plane]], found.slice_index, atol=5e-3
    )


def test_only_the_largest_part_is_measured():
    mask = blob()
    alone = Volume(largest_part(mask.data), mask.affine)
    assert np.count_nonzero(alone.data) < np.count_nonzero(mask.data)
    assert diameters(mask) == diameters(alone)


def test_a_cyst_inside_changes_nothing():
    mask = blob()
    points = world_points(mask.shape, mask.affine)
    cyst = np.linalg.norm(points - np.array((0, 2, -3)), axis=-1) < 6
    assert diameters(Volume(mask.data & ~cyst, mask.affine)) == diameters(mask)


@pytest.mark.parametrize(
    ("slice_mm", "plane"), [(1.0, "coronal"), (2.0, "coronal"), (2.1, "axial")]
)
def test_thick_slices_are_measured_in_their_own_plane(slice_mm, plane):
    mask = np.zeros((24, 24, 24), dtype=bool)
    mask[2:22, 10:13, 2:22] = True
    found = diameters(Volume(mask, np.diag([1.0, 1.0, slice_mm, 1.0])))
    assert found.plane == plane


@pytest.mark.parametrize("degrees", [0, 44, 45, 46, 90])
def test_the_three_planes_have_three_names(degrees):
    axes = plane_axes(make_affine((1, 1, 2), turn_degrees=(0, 0, degrees)))
    assert sorted(axes.values()) == [0, 1, 2]
    assert axes["axial"] == 2


def test_planes_are_named_by_what_lies_across_them():
    assert plane_axes(ODD_AFFINES["sagittal"]) == {"coronal": 0, "axial": 1, "sagittal": 2}
    assert plane_axes(ODD_AFFINES["coronal"]) == {"sagittal": 0, "axial": 1, "coronal": 2}


def test_a_large_ragged_tumour_is_as_long_as_its_ellipsoid():
    place = np.moveaxis(np.indices((240, 240, 155)), 0, -1) - np.array((110.3, 121.7, 80.2))
    ragged = np.random.default_rng(0).normal(0, 0.03, (240, 240, 155))
    mask = Volume(np.linalg.norm(place / (55, 45, 38), axis=-1) + ragged <= 1, np.eye(4))
    found = diameters(mask)
    assert found.largest_mm == pytest.approx(110, abs=7)


@pytest.mark.real
def test_real_tumours_are_measured_in_the_slices_they_were_outlined_in(shared_data):
    folder = shared_data / "tcga-lgg" / "images"
    for path in sorted(folder.glob("*_mask.nii.gz"))[::12]:
        mask = read_volume(path)
        found = diameters(mask)
        seen = largest_part(mask.data > 0)
        diagonal = np.linalg.norm(np.ptp(np.argwhere(seen), axis=0) * mask.spacing_mm)
        assert 10 < found.perpendicular_mm <= found.largest_mm <= diagonal + 2
        if mask.spacing_mm[2] > 2 * mask.spacing_mm[0]:
            assert found.plane == "axial"
            assert seen[:, :, found.slice_index].any()
