"""What must not matter: axis order, flips, the origin, the unit of intensity, empty rims."""

from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest
from phantoms import GRID, centre_mm

from helper import ODD_AFFINES, TUMOUR_CENTRE_MM, blob_brain
from plgg.core.errors import InputError
from plgg.core.volume import Volume
from plgg.data.atlas.grid import BRAIN_CENTRE_MM
from plgg.data.store_arrays import OUTSIDE
from plgg.preprocess.normalise import normalise_scan

ORDERS = [
    np.array(list(zip(order, flips, strict=True)), dtype=float)
    for order in permutations(range(3))
    for flips in product((1, -1), repeat=3)
]


def turned(volume, order):
    """The same image with its axes in another order and direction, by nibabel."""
    image = nib.Nifti1Image(volume.data, volume.affine).as_reoriented(order)
    return Volume(np.ascontiguousarray(image.dataobj), image.affine)


def assert_same(one, other):
    """Equal but for rounding: a code may differ by one, a voxel on the rim may be in or out."""
    np.testing.assert_allclose(
        np.array(one.placement.box_affine), np.array(other.placement.box_affine), atol=1e-9
    )
    assert one.image.shape == other.image.shape
    rim = (one.image == OUTSIDE) != (other.image == OUTSIDE)
    assert rim.mean() < 1e-3
    gap = np.abs(one.image.astype(int) - other.image)[~rim]
    assert gap.max() <= 1
    assert gap.mean() < 0.02
    assert np.mean(one.mask != other.mask) < 1e-4


@pytest.fixture(scope="module")
def oblique():
    flair, mask = blob_brain(affine=ODD_AFFINES["oblique"])
    return flair, mask, normalise_scan(flair, mask, GRID)


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: str(order.astype(int).tolist()))
def test_axis_order_and_flips_do_not_matter(oblique, order):
    flair, mask, straight = oblique
    prepared = normalise_scan(turned(flair, order), turned(mask, order), GRID)
    assert_same(prepared, straight)


@pytest.mark.parametrize("name", ODD_AFFINES)
def test_right_stays_right_and_up_stays_up(name):
    flair, mask = blob_brain(affine=ODD_AFFINES[name])
    prepared = normalise_scan(flair, mask, GRID)
    found = centre_mm(prepared.mask.astype(float), np.array(prepared.placement.box_affine))
    assert np.abs(found - BRAIN_CENTRE_MM - TUMOUR_CENTRE_MM).max() < 1.5
    # The array's own axes run to Left, Posterior and Superior, as in BraTS.
    brain = np.argwhere(prepared.image != OUTSIDE).mean(axis=0)
    tumour = np.argwhere(prepared.mask).mean(axis=0)
    assert (np.sign(tumour - brain) == (-1, -1, 1)).all()


@pytest.mark.parametrize("offset", [(13.7, -120.0, 44.4), (1e4, 1e4, -1e4)])
def test_the_origin_of_the_world_does_not_matter(oblique, offset):
    flair, mask, straight = oblique
    affine = flair.affine.copy()
    affine[:3, 3] += offset
    moved = normalise_scan(Volume(flair.data, affine), Volume(mask.data, affine), GRID)
    assert_same(moved, straight)


@pytest.mark.parametrize("scale", [1e-4, 0.3, 7.0, 1e5])
@pytest.mark.parametrize("offset", [0.0, -1000.0, 40.0])
def test_the_unit_of_intensity_does_not_matter(oblique, scale, offset):
    flair, mask, straight = oblique
    inside = flair.data != 0
    other = np.where(inside, (flair.data.astype(np.float64) + offset) * scale, 0)
    prepared = normalise_scan(flair.with_data(other.astype(np.float32)), mask, GRID)
    assert_same(prepared, straight)


@pytest.mark.parametrize("pad", [1, 7])
def test_empty_voxels_around_do_not_matter(oblique, pad):
    flair, mask, straight = oblique
    affine = flair.affine.copy()
    affine[:3, 3] -= affine[:3, :3] @ [pad, pad, pad]
    wide = [Volume(np.pad(volume.data, pad), affine) for volume in (flair, mask)]
    assert_same(normalise_scan(*wide, GRID), straight)


def test_holes_in_the_brain_are_brain():
    flair, mask = blob_brain()
    data = flair.data.copy()
    data[16:20, 18:22, 14:18] = 0
    assert_same_brain(
        normalise_scan(flair.with_data(data), mask, GRID), normalise_scan(flair, mask, GRID)
    )


def assert_same_brain(one, other):
    np.testing.assert_array_equal(one.image == OUTSIDE, other.image == OUTSIDE)


def test_a_scan_of_zeros_is_refused():
    flair, _ = blob_brain()
    with pytest.raises(InputError, match="zero everywhere"):
        normalise_scan(flair.with_data(np.zeros_like(flair.data)), None, GRID)


@pytest.mark.parametrize("factor", [1.7, 10.0, 1000.0])
def test_a_brain_larger_than_the_field_of_view_is_refused(factor):
    flair, _ = blob_brain()
    with pytest.raises(InputError, match="field of view"):
        normalise_scan(Volume(flair.data, flair.affine @ np.diag([factor] * 3 + [1.0])), None, GRID)


def test_a_brain_that_is_too_small_to_be_seen_is_refused():
    data = np.zeros((20, 20, 20), np.float32)
    data[10, 10, 10] = 1.0
    with pytest.raises(InputError, match="field of view"):
        normalise_scan(Volume(data, np.eye(4)), None, GRID)


def test_an_unknown_mask_stays_unknown():
    flair, mask = blob_brain()
    assert normalise_scan(flair, None, GRID).mask is None
    empty = normalise_scan(flair, mask.with_data(np.zeros_like(mask.data)), GRID).mask
    assert empty is not None
    assert not empty.any()


def test_every_label_above_0_is_tumour():
    flair, mask = blob_brain()
    once = normalise_scan(flair, mask, GRID).mask
    for value in (255, 3):
        other = normalise_scan(flair, mask.with_data(mask.data.astype(np.int16) * value), GRID).mask
        np.testing.assert_array_equal(other, once)
