"""What each gate says of things whose answer is known."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from brains import about_brain, phantom_frame, turn, upright, view
from scipy.spatial.transform import Rotation

from helper import BRAIN_RADII_MM, make_affine, world_points
from plgg.core.volume import Volume
from plgg.data.atlas.template import template_brain
from plgg.preprocess.gates.limits import at_least, at_most
from plgg.preprocess.gates.registration import (
    brain_overlap,
    orientation,
    rotation,
    scale,
    shear,
    similarity,
)
from plgg.preprocess.gates.scan import brain_volume, field_of_view, fluid, t1_like
from plgg.preprocess.registration.frame import AtlasView, Frame, align
from plgg.preprocess.registration.start import mutual_information

TILT = Rotation.from_euler("xyz", (12.0, -8.0, 10.0), degrees=True).as_matrix()


def linear(matrix):
    whole = np.eye(4)
    whole[:3, :3] = matrix
    return whole


def test_a_plausible_map_is_good():
    matrix = linear(TILT @ np.diag([0.92, 1.0, 1.08]))
    assert {scale(matrix).status, shear(matrix).status, rotation(matrix).status} == {"good"}
    assert scale(matrix).value == pytest.approx(0.92)
    assert shear(matrix).value == pytest.approx(1.08 / 0.92, abs=1e-3)


@pytest.mark.parametrize("factor", [65.0, 10.0, 2.0, 0.5, 0.1])
def test_a_blown_up_or_shrunken_brain_fails(factor):
    assert scale(linear(TILT * factor)).status == "failed"
    assert scale(linear(TILT * factor)).value == pytest.approx(factor)
    assert shear(linear(TILT * factor)).status == "good"


def test_a_brain_that_is_stretched_one_way_fails():
    found = shear(linear(TILT @ np.diag([1.0, 1.3, 0.75])))
    assert found.status == "failed"
    assert "1.73 times" in found.message


@pytest.mark.parametrize("axis", "xyz")
@pytest.mark.parametrize(
    ("degrees", "status"), [(10, "good"), (40, "doubtful"), (90, "failed"), (180, "failed")]
)
def test_the_angle_of_a_turn_is_told(axis, degrees, status):
    turned = Rotation.from_euler(axis, degrees, degrees=True).as_matrix()
    found = rotation(linear(turned @ np.diag([1.1, 1.0, 0.9])))
    assert found.status == status
    # A stretch that is applied first does not change the nearest rotation much.
    assert found.value == pytest.approx(degrees, abs=3.0)


@pytest.mark.parametrize("axis", range(3))
def test_a_mirror_image_fails_however_small_its_angle(axis):
    signs = np.ones(3)
    signs[axis] = -1.0
    found = rotation(linear(np.diag(signs)))
    assert found.status == "failed"
    assert "is mirrored" in found.message


# Name -> voxel sizes and turn of the grid that the ellipsoid is laid on.
GRIDS = {
    "even": ((2.0, 2.0, 2.0), (0.0, 0.0, 0.0)),
    "thick": ((1.5, 1.5, 6.0), (0.0, 0.0, 0.0)),
    "oblique": ((2.0, 2.0, 4.0), (15.0, -10.0, 20.0)),
}
CUTS = {
    "left": (-1, 0, 0),
    "right": (1, 0, 0),
    "back": (0, -1, 0),
    "front": (0, 1, 0),
    "lower": (0, 0, -1),
    "upper": (0, 0, 1),
}


@cache
def ellipsoid(grid):
    spacing, turned = GRIDS[grid]
    shape = tuple(int(np.ceil(176.0 / step)) for step in spacing)
    affine = make_affine(spacing, turn_degrees=turned, shape=shape)
    points = world_points(shape, affine)
    return np.square(points / BRAIN_RADII_MM).sum(axis=-1) <= 1.0, points, affine


@pytest.mark.parametrize("grid", GRIDS)
def test_a_whole_brain_is_not_cut(grid):
    brain, _, affine = ellipsoid(grid)
    assert field_of_view(brain, affine).status == "good"


@pytest.mark.parametrize("side", CUTS)
@pytest.mark.parametrize("grid", ["thick", "oblique"])
def test_a_halved_brain_is_refused_and_the_side_named(side, grid):
    brain, points, affine = ellipsoid(grid)
    found = field_of_view(brain & (points @ CUTS[side] < 0), affine)
    assert found.status == "failed"
    assert f"cut off at its {side} end" in found.message


@pytest.mark.parametrize("normal", [(1, 1, 1), (-1, 2, 0.5), (0.3, -1, -1)])
def test_an_oblique_cut_is_seen(normal):
    brain, points, affine = ellipsoid("even")
    assert field_of_view(brain & (points @ normal < 0), affine).status == "failed"


@pytest.mark.parametrize(
    ("volume_ml", "age_years", "status"),
    [
        (1350.0, 10.0, "good"),
        (1350.0, None, "good"),
        (420.0, 0.0, "good"),
        (420.0, 10.0, "doubtful"),
        (420.0, None, "doubtful"),
        (1350.0, 0.0, "doubtful"),
        (2400.0, 40.0, "doubtful"),
    ],
)
def test_brains_are_as_large_as_their_age_allows(volume_ml, age_years, status):
    assert brain_volume(volume_ml, age_years).status == status


def test_limits_leave_nothing_undecided():
    assert at_least(2.0, 1.0).status(float("nan")) == "failed"
    assert [at_least(2.0, 1.0).status(value) for value in (0.9, 1.0, 2.0)] == [
        "failed",
        "doubtful",
        "good",
    ]
    assert at_most(1.0, 2.0).status(1.5) == "doubtful"
    assert at_most(30.0, 45.0, "°").words() == "30° or less"


def test_what_is_independent_shares_nothing_and_what_is_equal_all():
    one, other = np.random.default_rng(0).normal(size=(2, 200_000))
    assert mutual_information(one, other) == pytest.approx(1.0, abs=1e-3)
    assert mutual_information(one, one) == pytest.approx(2.0)
    assert mutual_information(one, -3.0 * one + 7.0) == pytest.approx(2.0, abs=1e-3)
    assert mutual_information(one, np.zeros_like(one)) == pytest.approx(1.0)
    assert mutual_information(one[:5], one[:5]) == 1.0


def test_the_phantom_as_it_lies_passes_every_gate_of_the_picture():
    seen = upright()
    gates = (brain_overlap(seen), similarity(seen), fluid(seen), t1_like(seen, None))
    assert {verdict.status for verdict in gates} == {"good"}


def coarse(aligned):
    """Every second voxel: turning through 24 orientations is slow."""
    part = (slice(None, None, 2),) * 3
    seen, affine = aligned.atlas.frame, aligned.atlas.grid.affine @ np.diag([2.0, 2.0, 2.0, 1.0])
    atlas = AtlasView("coarse", Frame(Volume(seen.image.data[part], affine), seen.brain[part]),
                      None, None, None)  # fmt: skip
    return replace(aligned, scan=aligned.scan[part], brain=aligned.brain[part], atlas=atlas)


def test_an_upright_head_fits_best_as_it_lies():
    found = orientation(coarse(upright()))
    assert found.status == "good"
    assert found.value > 1.35


@pytest.mark.parametrize("axis", "xyz")
@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_turned_head_is_told_even_where_its_outline_was_stretched_to_fit(axis, degrees):
    extent = np.argwhere(view().frame.brain).std(axis=0)
    turned = turn(axis, degrees)
    stretch = np.diag(np.abs(turned[:3, :3]).T @ extent / extent)
    aligned = align(phantom_frame(), view(), about_brain(turned[:3, :3] @ stretch))
    found = orientation(coarse(aligned))
    assert found.status == "failed"
    assert "the header's orientation is wrong" in found.message
    if degrees == 180:
        assert "turned by 180° about" in found.message


def of_contrast(data):
    """The phantom's place with other intensities."""
    seen = upright()
    return replace(seen, scan=np.where(seen.brain, data, 0).astype(np.float32))


def test_a_t1_is_told_from_a_flair_but_not_before_myelin_is_there():
    grid = view().grid
    t1 = of_contrast(template_brain(grid.shape, grid.affine).data)
    assert t1_like(t1, None).status == "failed"
    assert t1_like(t1, 8.0).status == "failed"
    assert t1_like(t1, 0.5).status == "doubtful"
    assert fluid(t1).status == "good"


def test_bright_fluid_is_told_from_a_flair():
    atlas = view()
    t2 = of_contrast(0.6 * atlas.white + 0.9 * atlas.grey + 1.8 * atlas.csf)
    inverted = of_contrast(1.2 * upright().scan.max() - upright().scan)
    assert fluid(t2).status == fluid(inverted).status == "failed"
    assert t1_like(t2, None).status == "good"


def test_where_fluid_is_not_known_it_is_not_judged():
    found = fluid(replace(upright(), atlas=replace(view(), csf=None)))
    assert (found.status, found.value) == ("doubtful", None)


def test_noise_in_the_shape_of_a_brain_is_no_brain():
    noise = of_contrast(np.random.default_rng(0).normal(300.0, 60.0, upright().scan.shape))
    assert brain_overlap(noise).status == "good"
    assert similarity(noise).status == "failed"


def test_a_brain_that_lies_beside_the_atlas_does_not_overlap():
    moved = np.eye(4)
    moved[0, 3] = 40.0
    assert brain_overlap(align(phantom_frame(), view(), moved)).status == "failed"
