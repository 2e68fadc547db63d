"""Patches: what a plan says is what is cut, and plans depend on their generator alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plgg.data.store_arrays import OUTSIDE, STEP, decode, encode
from plgg.train.patches import PatchPlan, cut_patch, sample_plan
from tiny import SHAPE, tiny_config, tiny_store


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tiny_store(tmp_path_factory.mktemp("store"), n=3, no_mask=("P01",))


def patches(*rows):
    return tiny_config(*rows).patches


BOX = st.tuples(
    *[
        st.integers(0, n - 1).flatmap(lambda a, n=n: st.tuples(st.just(a), st.integers(a + 1, n)))
        for n in SHAPE
    ]
)


@settings(max_examples=40, deadline=None)
@given(BOX)
def test_reading_a_part_equals_a_part_of_the_whole(store, box):
    part = tuple(slice(low, high) for low, high in box)
    assert np.array_equal(store.image("P00", part), store.image("P00")[part])
    assert np.array_equal(store.mask("P00", part), store.mask("P00")[part])
    assert store.mask("P01", part) is None


PLANS = st.builds(
    lambda start, size: PatchPlan("P00", start, size),
    st.tuples(*[st.integers(-20, n - 1) for n in SHAPE]),
    st.tuples(*[st.sampled_from([24, 32, 48])] * 3),
)


@settings(max_examples=40, deadline=None)
@given(PLANS)
def test_outside_the_box_is_background(store, plan):
    """A patch is a window on the case continued by background without end."""
    around = 100
    image = np.pad(store.image("P00"), around, constant_values=OUTSIDE)
    mask = np.pad(store.mask("P00"), around)
    window = tuple(
        slice(around + start, around + start + side)
        for start, side in zip(plan.start, plan.size, strict=True)
    )
    patch = cut_patch(store, plan)
    assert np.array_equal(patch.image[0], decode(image[window]))
    assert np.array_equal(patch.mask, mask[window])
    assert patch.image.dtype == patch.mask.dtype == np.float32


@pytest.mark.parametrize("flips", [(), (0,), (1,), (2,), (0, 2), (0, 1, 2)])
def test_mirroring_back_gives_the_original(store, flips):
    plan = PatchPlan("P00", (8, -3, 20), (24, 24, 24))
    plain, mirrored = (
        cut_patch(store, plan),
        cut_patch(store, PatchPlan("P00", plan.start, plan.size, flips)),
    )
    assert np.array_equal(np.flip(mirrored.image[0], flips), plain.image[0])
    assert np.array_equal(np.flip(mirrored.mask, flips), plain.mask)
    assert mirrored.image.flags.c_contiguous
    assert not flips or not np.array_equal(mirrored.image[0], plain.image[0])


def test_intensities_change_inside_the_brain_only(store):
    plain = cut_patch(store, PatchPlan("P00", (0, 0, 0), SHAPE))
    changed = cut_patch(store, PatchPlan("P00", (0, 0, 0), SHAPE, scale=1.1, shift=0.25))
    brain = store.image("P00") != OUTSIDE
    assert 0 < brain.mean() < 1
    assert np.all(changed.image[0][~brain] == 0)
    expected = plain.image[0][brain] * np.float32(1.1) + np.float32(0.25)
    assert np.array_equal(changed.image[0][brain], expected)
    assert np.array_equal(changed.mask, plain.mask)


def test_an_unknown_mask_is_zeros(store):
    assert not cut_patch(store, PatchPlan("P01", (0, 0, 0), SHAPE)).mask.any()


def test_a_plan_depends_on_its_generator_alone(store):
    wanted = patches("patches.tumour_share=0.5")
    plans = [
        sample_plan(store, "P00", wanted, np.random.default_rng(seed)) for seed in (1, 1, 2, 3)
    ]
    assert plans[0] == plans[1]
    assert len(set(plans)) == 3


@pytest.mark.parametrize("size", ["[24,24,24]", "[48,48,48]", "[40,48,40]"])
def test_every_place_is_drawn_and_none_beyond(store, size):
    wanted = patches(f"patches.size={size}")
    rng = np.random.default_rng(0)
    starts = np.array([sample_plan(store, "P00", wanted, rng).start for _ in range(800)])
    for axis, (n, side) in enumerate(zip(SHAPE, wanted.size, strict=True)):
        assert set(starts[:, axis]) == set(range(min(0, n - side), max(0, n - side) + 1))


def test_changes_are_drawn_within_their_ranges(store):
    rng = np.random.default_rng(0)
    plans = [sample_plan(store, "P00", patches(), rng) for _ in range(400)]
    scales, shifts = [p.scale for p in plans], [p.shift for p in plans]
    assert 0.9 <= min(scales) < 0.92
    assert 1.08 < max(scales) <= 1.1
    assert -0.1 <= min(shifts) < -0.08
    assert 0.08 < max(shifts) <= 0.1
    assert 0.4 < np.mean([0 in plan.flips for plan in plans]) < 0.6
    assert {axis for plan in plans for axis in plan.flips} == {0}


def test_any_axis_is_mirrored_where_asked(store):
    rng = np.random.default_rng(0)
    wanted = patches("patches.augmentation.flip_axes=[2,0]")
    plans = [sample_plan(store, "P00", wanted, rng) for _ in range(400)]
    for axis, chance in enumerate((0.5, 0.0, 0.5)):
        assert np.mean([axis in plan.flips for plan in plans]) == pytest.approx(chance, abs=0.1)


def test_without_augmentation_a_plan_is_a_place(store):
    none = "patches.augmentation."
    wanted = patches(f"{none}flip=0", f"{none}shift=0", f"{none}scale=0")
    plan = sample_plan(store, "P00", wanted, np.random.default_rng(0))
    assert (plan.flips, plan.scale, plan.shift) == ((), 1.0, 0.0)


@pytest.mark.parametrize("size", ["[8,8,8]", "[24,24,24]", "[48,56,48]"])
def test_tumour_aware_crops_hold_tumour_and_stay_in_bounds(store, size):
    wanted = patches("patches.tumour_share=1", f"patches.size={size}")
    for seed in range(30):
        plan = sample_plan(store, "P00", wanted, np.random.default_rng(seed))
        assert cut_patch(store, plan).mask.any()
        for start, n, side in zip(plan.start, SHAPE, plan.size, strict=True):
            assert min(0, n - side) <= start <= max(0, n - side)
    # Where the mask is unknown the crop is uniform.
    assert sample_plan(store, "P01", wanted, np.random.default_rng(0)).case_id == "P01"


@settings(deadline=None)
@given(st.lists(st.floats(-8, 8, width=32), min_size=1, max_size=50))
def test_codes_lose_half_a_step_at_most(values):
    z_score = np.array(values, dtype=np.float32)
    brain = np.ones(z_score.shape, dtype=bool)
    back = decode(encode(z_score, brain))
    assert np.abs(back - np.clip(z_score, -6.35, 6.35)).max() <= STEP / 2 + 1e-5
    assert np.array_equal(encode(back, brain), encode(z_score, brain))
    assert not decode(encode(z_score, ~brain)).any()
