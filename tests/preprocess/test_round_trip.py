"""Native → atlas grid → native is the identity, on grids of any orientation and voxel."""

import numpy as np
import pytest
from phantoms import GRID, GRIDS, centre_mm

from helper import TUMOUR_CENTRE_MM, blob_brain
from plgg.core.volume import Volume, apply_affine
from plgg.data.atlas.grid import BRAIN_CENTRE_MM
from plgg.data.store_arrays import OUTSIDE, decode
from plgg.metrics.overlap import hard_dice
from plgg.preprocess.grid import Grid, sri24_grid
from plgg.preprocess.normalise import normalise_scan, restore


@pytest.fixture(scope="module", params=list(GRIDS))
def there(request):
    """A brain with a tumour on one of the grids, and the same prepared."""
    flair, mask = blob_brain(*GRIDS[request.param])
    return flair, mask, normalise_scan(flair, mask, GRID)


def atlas_from_voxel(prepared, native_affine):
    """From native voxels to the world of the atlas, by the affines alone."""
    return np.array(prepared.placement.native_to_atlas) @ native_affine


def test_landmarks_return_to_their_voxel(there):
    flair, _, prepared = there
    placement = prepared.placement
    points = np.random.default_rng(0).uniform(0, np.array(flair.shape) - 1, (500, 3))
    box = apply_affine(placement.box_from_native(), points)
    back = apply_affine(placement.native_from_box(), box)
    assert np.abs(back - points).max() < 1e-6
    in_atlas = apply_affine(atlas_from_voxel(prepared, flair.affine), points)
    np.testing.assert_allclose(
        apply_affine(np.array(placement.box_affine), box), in_atlas, atol=1e-6
    )


def test_the_box_is_cut_from_the_grid(there):
    affine = np.array(there[2].placement.box_affine)
    np.testing.assert_array_equal(affine[:3, :3], GRID.affine[:3, :3])
    corner = np.linalg.solve(GRID.affine, affine[:, 3])[:3]
    np.testing.assert_allclose(corner, np.round(corner), atol=1e-9)
    assert (np.round(corner) >= 0).all()
    assert (np.round(corner) + there[2].image.shape <= GRID.shape).all()


def test_the_brain_lies_where_the_atlas_brain_does(there):
    prepared = there[2]
    brain = (prepared.image != OUTSIDE).astype(float)
    found = centre_mm(brain, np.array(prepared.placement.box_affine))
    # Half a voxel of offset would be 2 mm here; voxels on the rim fall in or out by less than 1.
    assert np.abs(found - BRAIN_CENTRE_MM).max() < 1.0


@pytest.mark.parametrize("name", ["thin-sagittal", "oblique", "sheared"])
def test_on_a_finer_grid_it_lies_there_more_exactly(name):
    """Half a voxel of offset, of either grid, would be 0.5 mm or more."""
    prepared = normalise_scan(*blob_brain(*GRIDS[name]), sri24_grid(2.0))
    brain = (prepared.image != OUTSIDE).astype(float)
    found = centre_mm(brain, np.array(prepared.placement.box_affine))
    assert np.abs(found - BRAIN_CENTRE_MM).max() < 0.15


def test_the_brain_keeps_its_volume(there):
    flair, _, prepared = there
    native_ml = np.count_nonzero(flair.data) * flair.voxel_volume_ml
    assert np.count_nonzero(prepared.image != OUTSIDE) * 0.064 == pytest.approx(native_ml, rel=0.01)


def test_z_scores_have_mean_0_and_spread_1(there):
    z_score = decode(there[2].image)[there[2].image != OUTSIDE]
    assert abs(z_score.mean()) < 0.005
    assert z_score.std() == pytest.approx(1.0, abs=0.01)


def test_a_mask_comes_back(there):
    _, mask, prepared = there
    back = restore(prepared.mask.astype(np.float32), prepared.placement)
    assert hard_dice(back.data >= 0.5, mask.data > 0) >= 0.93
    assert (back.data.min(), back.data.max()) == (0.0, 1.0)


def test_the_affine_comes_back_to_the_bit(there):
    flair, _, prepared = there
    back = restore(prepared.mask, prepared.placement)
    np.testing.assert_array_equal(back.affine, flair.affine)
    assert back.shape == flair.shape
    assert back.data.dtype == np.float32


def test_a_bright_ball_comes_back_within_a_voxel(there):
    flair, mask, prepared = there
    bright = (decode(prepared.image) > 2.75).astype(np.float32)
    back = restore(bright, prepared.placement)
    found = centre_mm(back.data.astype(float), flair.affine)
    gap = np.linalg.solve(
        flair.affine[:3, :3], found - centre_mm(mask.data.astype(float), flair.affine)
    )
    assert np.abs(gap).max() < 0.25
    middle = apply_affine(flair.affine, (np.array(flair.shape) - 1) / 2)
    assert np.abs(found - middle - TUMOUR_CENTRE_MM).max() < 1.5


@pytest.mark.parametrize("edge_mm", [3.0, 5.0])
def test_a_ramp_is_not_darkened_at_the_rim(edge_mm):
    """A brain whose intensity is the position: the store must hold the position's z-score."""
    shape = (48, 24, 40)
    affine = np.diag([edge_mm, 6.0, edge_mm, 1.0])
    points = apply_affine(affine, np.moveaxis(np.indices(shape), 0, -1))
    points = points - points.reshape(-1, 3).mean(axis=0)
    brain = np.square(points / (60.0, 65.0, 55.0)).sum(axis=-1) <= 1
    for axis in range(3):
        flair = Volume(np.where(brain, 500.0 + points[..., axis], 0).astype(np.float32), affine)
        prepared = normalise_scan(flair, None, GRID)
        inside = np.argwhere(prepared.image != OUTSIDE)
        position = apply_affine(np.array(prepared.placement.box_affine), inside)[:, axis]
        expected = (position - position.mean()) / position.std()
        found = decode(prepared.image)[tuple(inside.T)]
        # Zeros from outside, mixed in, would pull the rim down by many σ.
        assert np.abs(found - expected).max() < 4.0 / position.std()
        assert np.corrcoef(found, expected)[0, 1] > 0.998


def test_the_grid_of_the_atlas_itself_needs_no_interpolation():
    """A brain that lies on the atlas grid, its centre on the atlas brain's, is only cropped."""
    brain = np.zeros(GRID.shape, dtype=bool)
    centre = np.linalg.solve(GRID.affine, [*BRAIN_CENTRE_MM, 1.0])[:3]
    brain[tuple(slice(int(c) - 8, int(c) + 9) for c in np.round(centre))] = True
    data = np.where(brain, np.random.default_rng(0).normal(100, 10, GRID.shape), 0)
    affine = GRID.affine.copy()
    # Whole voxels fit the centre exactly once the world is moved by the rest.
    affine[:3, 3] += BRAIN_CENTRE_MM - centre_mm(brain.astype(float), affine)
    flair = Volume(data.astype(np.float32), affine)
    prepared = normalise_scan(flair, Volume(brain, affine), Grid(GRID.shape, affine))
    inside = prepared.image != OUTSIDE
    values = data[brain]
    expected = (values - values.mean()) / values.std()
    assert np.abs(decode(prepared.image)[inside] - expected).max() <= 0.0251
    np.testing.assert_array_equal(prepared.mask > 0, inside)
    back = restore(prepared.mask, prepared.placement)
    np.testing.assert_array_equal(back.data > 0.5, brain)
