"""Strong changes of a patch: what each does, and what none of them may do."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from plgg.config import Augmentation, PatchConfig
from plgg.train.augment import AugmentationParameters, Warp, apply_augmentation, sample_augmentation
from plgg.train.patches import cut_patch, sample_plan
from tiny import tiny_store

SHAPE = (40, 48, 32)
NOTHING = Warp((0, 0, 0), (1, 1, 1), (0, 0, 0))


def head(tumour=(26, 30, 18), radius=4):
    """A ball of brain around the centre, a bright ball in it, and its mask."""
    points = np.indices(SHAPE).astype(float)
    centre = (np.array(SHAPE) - 1) / 2
    brain = np.sqrt(((points - centre[:, None, None, None]) ** 2).sum(0)) < 14
    distance = np.sqrt(((points - np.array(tumour)[:, None, None, None]) ** 2).sum(0))
    mask = distance <= radius
    noise = np.random.default_rng(0).standard_normal(SHAPE)
    image = np.where(brain, 3.0 * mask + 0.2 * noise, 0).astype(np.float32)
    return image, brain, mask.astype(np.float32)


CHANGES = st.builds(
    AugmentationParameters,
    warp=st.none()
    | st.builds(
        Warp,
        st.tuples(*[st.floats(-90, 90)] * 3),
        st.tuples(*[st.floats(0.7, 1.4)] * 3),
        st.tuples(*[st.floats(-0.2, 0.2)] * 3),
    ),
    thick=st.none() | st.tuples(st.integers(0, 2), st.integers(2, 5)),
    gamma=st.none() | st.floats(0.5, 2.0),
    bias_seed=st.none() | st.integers(0, 2**32 - 1),
    noise=st.none() | st.tuples(st.floats(0, 0.5), st.integers(0, 2**32 - 1)),
)


@settings(max_examples=60, deadline=None)
@given(CHANGES)
def test_outside_is_zero_and_masks_stay_binary(change):
    image, brain, mask = apply_augmentation(*head(), change)
    assert image.dtype == mask.dtype == np.float32
    assert brain.dtype == bool
    assert image.shape == brain.shape == mask.shape == SHAPE
    assert np.isfinite(image).all()
    assert not image[~brain].any()
    assert set(np.unique(mask)) <= {0.0, 1.0}
    assert not (mask.astype(bool) & ~brain).any()


@settings(max_examples=20, deadline=None)
@given(CHANGES)
def test_the_same_change_gives_the_same_patch(change):
    for one, other in zip(
        apply_augmentation(*head(), change), apply_augmentation(*head(), change), strict=True
    ):
        assert np.array_equal(one, other)


def test_no_change_changes_nothing():
    image, brain, mask = head()
    for change in (
        AugmentationParameters(),
        AugmentationParameters(warp=NOTHING),
        AugmentationParameters(gamma=1.0),
    ):
        found = apply_augmentation(image, brain, mask, change)
        np.testing.assert_allclose(found[0], image, atol=2e-4)
        assert np.array_equal(found[1], brain)
        assert np.array_equal(found[2], mask)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_quarter_turn_moves_every_voxel_to_its_place(axis):
    """In a cube a quarter turn meets voxel centres exactly."""
    cube = np.random.default_rng(1).standard_normal((16, 16, 16)).astype(np.float32)
    brain = np.ones(cube.shape, dtype=bool)
    angles = [0.0, 0.0, 0.0]
    angles[axis] = 90.0
    warp = Warp(tuple(angles), (1, 1, 1), (0, 0, 0))
    turned, _, _ = apply_augmentation(
        cube, brain, np.zeros_like(cube), AugmentationParameters(warp=warp)
    )
    plane = tuple(other for other in range(3) if other != axis)
    ways = [np.rot90(cube, k, plane) for k in (1, -1)]
    assert min(np.abs(turned - way).max() for way in ways) < 1e-3


@pytest.mark.parametrize("sides", [(40, 48, 32), (32, 32, 48)])
def test_turning_keeps_lengths_on_patches_of_unlike_sides(sides):
    """A long bar turned about any axis is as long as before."""
    bar = np.zeros(sides, dtype=np.float32)
    centre = [n // 2 for n in sides]
    bar[centre[0] - 2 : centre[0] + 2, centre[1] - 10 : centre[1] + 10, centre[2] - 2 :][
        :, :, :4
    ] = 1
    brain = np.ones(sides, dtype=bool)
    for angles in ((90, 0, 0), (0, 0, 90), (30, 20, 40)):
        _, _, turned = apply_augmentation(
            bar, brain, bar, AugmentationParameters(warp=Warp(angles, (1, 1, 1), (0, 0, 0)))
        )
        assert turned.sum() == pytest.approx(bar.sum(), rel=0.12)
        extents = np.linalg.eigvalsh(np.cov(np.argwhere(turned).T))
        expected = np.linalg.eigvalsh(np.cov(np.argwhere(bar).T))
        np.testing.assert_allclose(np.sqrt(extents), np.sqrt(expected), rtol=0.12)


def test_image_and_mask_move_together():
    image, brain, mask = head()
    change = AugmentationParameters(warp=Warp((12, -9, 15), (1.1, 0.95, 1.05), (0.02, -0.02, 0.01)))
    moved, _, outline = apply_augmentation(image, brain, mask, change)
    bright = moved > 1.5
    overlap = 2 * (bright & (outline > 0)).sum() / (bright.sum() + outline.sum())
    assert overlap > 0.9
    assert not np.array_equal(outline, mask)


def test_factors_over_one_make_the_head_smaller():
    image, brain, mask = head()
    change = AugmentationParameters(warp=Warp((0, 0, 0), (1.25, 1.25, 1.25), (0, 0, 0)))
    _, smaller, outline = apply_augmentation(image, brain, mask, change)
    assert smaller.sum() == pytest.approx(brain.sum() / 1.25**3, rel=0.05)
    assert outline.sum() == pytest.approx(mask.sum() / 1.25**3, rel=0.15)


def test_the_brains_edge_does_not_mix_with_what_is_outside():
    """A brain of one value keeps it everywhere, however it is turned and averaged."""
    _, brain, mask = head()
    image = np.where(brain, 2.0, 0.0).astype(np.float32)
    change = AugmentationParameters(
        warp=Warp((20, 10, 30), (0.9, 1.1, 1.0), (0, 0, 0)), thick=(1, 3)
    )
    moved, inside, _ = apply_augmentation(image, brain, mask, change)
    np.testing.assert_allclose(moved[inside], 2.0, atol=1e-4)


@pytest.mark.parametrize("thickness", [2, 3])
def test_thick_slices_average_along_one_axis(thickness):
    image = np.random.default_rng(2).standard_normal(SHAPE).astype(np.float32)
    brain = np.ones(SHAPE, dtype=bool)
    found, _, _ = apply_augmentation(
        image, brain, np.zeros_like(image), AugmentationParameters(thick=(2, thickness))
    )
    # scipy's window reaches back where it is even, ours ahead.
    origin = -1 if thickness % 2 == 0 else 0
    expected = ndimage.uniform_filter1d(image, thickness, axis=2, origin=origin)
    inner = (..., slice(3, -3))
    np.testing.assert_allclose(found[inner], expected[inner], atol=1e-5)


def test_contrast_keeps_order_mean_and_spread():
    image, brain, mask = head()
    found, _, _ = apply_augmentation(image, brain, mask, AugmentationParameters(gamma=1.4))
    before, after = image[brain], found[brain]
    assert (np.diff(after[np.argsort(before)]) >= -1e-5).all()
    assert after.mean() == pytest.approx(before.mean(), abs=1e-3)
    assert after.std() == pytest.approx(before.std(), rel=1e-3)
    assert np.abs(after - before).max() > 0.1


def test_noise_has_the_spread_that_the_change_names():
    image, brain, mask = head()
    found, _, _ = apply_augmentation(image, brain, mask, AugmentationParameters(noise=(0.15, 7)))
    assert (found - image)[brain].std() == pytest.approx(0.15, rel=0.05)


def test_the_papers_settings_draw_no_change_and_no_number():
    rng, other = np.random.default_rng(0), np.random.default_rng(0)
    assert sample_augmentation(Augmentation(), rng) is None
    assert rng.random() == other.random()


def test_changes_occur_as_often_as_they_should():
    rng = np.random.default_rng(0)
    strong = Augmentation(warp=0.8, anisotropy=0.3, gamma=0.2, bias=0.4, noise=1.0)
    drawn = [sample_augmentation(strong, rng) for _ in range(1000)]
    for name, chance in [("warp", 0.8), ("thick", 0.3), ("gamma", 0.2), ("bias_seed", 0.4)]:
        found = np.mean([getattr(change, name) is not None for change in drawn])
        assert found == pytest.approx(chance, abs=0.05)
    assert all(change.noise is not None for change in drawn)
    warps = [change.warp for change in drawn if change.warp]
    assert max(abs(angle) for warp in warps for angle in warp.angles_deg) <= strong.rotation_deg


def test_a_plan_says_all_of_a_patch(tmp_path):
    store = tiny_store(tmp_path, n=2)
    strong = PatchConfig(
        size=(32, 32, 32), augmentation=Augmentation(warp=1, anisotropy=1, gamma=1, bias=1, noise=1)
    )
    plan = sample_plan(store, "P00", strong, np.random.default_rng(3))
    one, other = cut_patch(store, plan), cut_patch(store, plan)
    assert np.array_equal(one.image, other.image)
    assert np.array_equal(one.mask, other.mask)
    again = sample_plan(store, "P00", strong, np.random.default_rng(3))
    assert again == plan
