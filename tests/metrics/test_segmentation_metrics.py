"""Laws and known answers of Dice, surface distances and lesion counts."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import gaussian_filter

from plgg.metrics.overlap import count_lesions, hard_dice, soft_dice, volume_ml
from plgg.metrics.surface import hd95_mm, surface_dice, surface_scores

SHAPE = (9, 8, 7)
masks = arrays(np.bool_, SHAPE)
SPACING = (0.5, 1.0, 4.0)


def cube(start, size, shape=(30, 30, 30)):
    mask = np.zeros(shape, dtype=bool)
    mask[tuple(slice(s, s + size) for s in start)] = True
    return mask


@given(masks, masks)
@settings(deadline=None)
def test_symmetric_and_bounded(a, b):
    assert hard_dice(a, b) == hard_dice(b, a)
    assert 0 <= hard_dice(a, b) <= 1
    assert soft_dice(a.astype(float), b) == pytest.approx(hard_dice(a, b))
    assert hd95_mm(a, b, spacing_mm=SPACING) == hd95_mm(b, a, spacing_mm=SPACING)
    assert 0 <= surface_dice(a, b, spacing_mm=SPACING) <= 1


@given(masks, masks, st.permutations(range(3)), st.integers(0, 2))
@settings(deadline=None, max_examples=50)
def test_turning_the_grid_changes_nothing(a, b, order, axis):
    turned = [np.flip(mask.transpose(order), axis) for mask in (a, b)]
    spacing = [SPACING[i] for i in order]
    assert hard_dice(*turned) == hard_dice(a, b)
    expected = hd95_mm(a, b, spacing_mm=SPACING)
    found = hd95_mm(*turned, spacing_mm=spacing)
    assert found == (None if expected is None else pytest.approx(expected))
    assert surface_dice(*turned, spacing_mm=spacing) == pytest.approx(
        surface_dice(a, b, spacing_mm=SPACING)
    )


def test_shifted_cubes():
    a, b = cube((5, 5, 5), 10), cube((8, 5, 5), 10)
    assert hard_dice(a, b) == pytest.approx(0.7)
    assert hd95_mm(a, b, spacing_mm=(2, 1, 1)) == pytest.approx(6.0)
    assert hd95_mm(a, a, spacing_mm=(2, 1, 1)) == 0.0


def test_parallel_sheets_lie_as_far_apart_as_they_are():
    a, b = np.zeros((2, 12, 12, 12), dtype=bool)
    a[:, :, 3], b[:, :, 7] = True, True
    assert hd95_mm(a, b, spacing_mm=(1, 1, 2.5)) == pytest.approx(10.0)
    assert surface_dice(a, b, spacing_mm=(1, 1, 2.5), tolerance_mm=9.9) == 0.0
    assert surface_dice(a, b, spacing_mm=(1, 1, 2.5), tolerance_mm=10.0) == 1.0


def test_surface_dice_grows_with_the_tolerance():
    random = np.random.default_rng(0)
    a, b = random.random((2, 15, 15, 15)) > 0.7
    found = [surface_dice(a, b, spacing_mm=SPACING, tolerance_mm=t) for t in (0, 0.5, 1, 2, 5)]
    assert found == sorted(found)


def by_hand(a, b, spacing):
    """Distances of the surfaces by a table of all pairs of voxels."""
    surfaces = []
    for mask in (a, b):
        padded = np.pad(mask, 1)
        inner = np.ones_like(padded)
        for axis in range(3):
            inner &= np.roll(padded, 1, axis) & np.roll(padded, -1, axis)
        surfaces.append(np.argwhere(padded & ~inner) * spacing)
    table = np.linalg.norm(surfaces[0][:, None] - surfaces[1][None], axis=-1)
    return table.min(axis=1), table.min(axis=0)


@given(masks, masks)
@settings(deadline=None, max_examples=50)
def test_distances_are_those_of_all_pairs(a, b):
    assume(a.any() and b.any())
    ways = by_hand(a, b, SPACING)
    found = surface_scores(a, b, spacing_mm=SPACING, tolerance_mm=1.2)
    assert found.hd95_mm == pytest.approx(max(np.percentile(way, 95) for way in ways))
    assert found.surface_dice == pytest.approx((np.concatenate(ways) <= 1.2).mean())


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (1.0, 2.0, 3.0), (0.5, 0.5, 6.0)])
def test_monai_agrees_on_ragged_masks(spacing):
    from monai.metrics import compute_hausdorff_distance, compute_surface_dice

    random = np.random.default_rng(5)
    a, b = (gaussian_filter(random.normal(size=(28, 24, 20)), 2) > 0.08 for _ in range(2))
    x, y = (torch_mask(mask) for mask in (a, b))
    theirs = compute_hausdorff_distance(x, y, percentile=95, spacing=list(spacing))
    found = surface_scores(a, b, spacing_mm=spacing)
    assert found.hd95_mm == pytest.approx(float(theirs), rel=1e-4)
    theirs = compute_surface_dice(x, y, class_thresholds=[2.0], spacing=list(spacing))
    assert found.surface_dice == pytest.approx(float(theirs), abs=1e-4)


def torch_mask(mask):
    torch = pytest.importorskip("torch")
    return torch.from_numpy(mask)[None, None].float()


def test_monai_agrees():
    from monai.metrics import compute_hausdorff_distance, compute_surface_dice

    a, b = cube((5, 6, 7), 9), cube((7, 6, 5), 12)
    x, y = torch_mask(a), torch_mask(b)
    theirs = compute_hausdorff_distance(x, y, percentile=95, spacing=[1.0, 2.0, 3.0])
    assert hd95_mm(a, b, spacing_mm=(1, 2, 3)) == pytest.approx(float(theirs), rel=0.02)
    theirs = compute_surface_dice(x, y, class_thresholds=[2.0], spacing=[1.0, 2.0, 3.0])
    assert surface_dice(a, b, spacing_mm=(1, 2, 3)) == pytest.approx(float(theirs), abs=0.02)


def test_rules_for_empty_masks():
    nothing, something = np.zeros(SHAPE, dtype=bool), np.ones(SHAPE, dtype=bool)
    assert hard_dice(nothing, nothing) == soft_dice(nothing.astype(float), nothing) == 1.0
    assert hd95_mm(nothing, nothing, spacing_mm=SPACING) == 0.0
    assert surface_dice(nothing, nothing, spacing_mm=SPACING) == 1.0
    for pair in ((nothing, something), (something, nothing)):
        assert hard_dice(*pair) == 0.0
        assert hd95_mm(*pair, spacing_mm=SPACING) is None
        assert surface_dice(*pair, spacing_mm=SPACING) == 0.0


def test_lesions_found_missed_and_invented():
    truth = cube((2, 2, 2), 5) | cube((20, 20, 20), 5)
    prediction = cube((3, 3, 3), 5) | cube((20, 2, 2), 5)
    found = count_lesions(prediction, truth, voxel_volume_ml=0.001)
    assert (found.n, found.found, found.false) == (2, 1, 1)


def test_specks_are_no_lesions_unless_there_is_nothing_else():
    speck = cube((10, 10, 10), 2)
    assert count_lesions(speck, cube((2, 2, 2), 5), voxel_volume_ml=0.001).false == 0
    alone = count_lesions(speck, speck, voxel_volume_ml=0.001)
    assert (alone.n, alone.found, alone.false) == (1, 1, 0)


def test_a_truth_that_fills_its_grid_with_a_speck():
    full = np.ones((2, 2, 2), dtype=bool)
    found = count_lesions(full, full, voxel_volume_ml=0.001)
    assert (found.n, found.found, found.false) == (1, 1, 0)


def test_a_tenth_is_what_finds_a_lesion():
    truth = cube((5, 5, 5), 10)
    layer, less = truth.copy(), truth.copy()
    layer[6:], less[6:] = False, False
    less[5, 5, 5] = False
    found = [count_lesions(p, truth, voxel_volume_ml=0.001).found for p in (layer, less)]
    assert found == [1, 0]


def test_just_the_smallest_volume_is_a_lesion():
    bar = np.zeros((60, 3, 3), dtype=bool)
    bar[:50, 1, 1] = True
    nothing = np.zeros_like(bar)
    assert count_lesions(bar, nothing, voxel_volume_ml=0.001).false == 1
    bar[49] = False
    assert count_lesions(bar, nothing, voxel_volume_ml=0.001).false == 0


def test_touching_by_a_corner_is_one_lesion():
    truth = cube((2, 2, 2), 5) | cube((7, 7, 7), 5)
    assert count_lesions(truth, truth, voxel_volume_ml=0.001).n == 1


def test_no_lesions_without_tumour():
    nothing = np.zeros(SHAPE, dtype=bool)
    found = count_lesions(nothing, nothing, voxel_volume_ml=1.0)
    assert (found.n, found.found, found.false) == (0, 0, 0)


def test_volume_is_that_of_the_voxels():
    assert volume_ml(cube((2, 2, 2), 10), voxel_volume_ml=0.002) == pytest.approx(2.0)


def test_soft_dice_by_hand():
    probability, truth = np.array([0.5, 0.5, 1.0]), np.array([True, False, True])
    assert soft_dice(probability, truth) == pytest.approx(2 * 1.5 / (1.5 + 2))
