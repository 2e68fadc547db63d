"""Patches of a scan's own slices: neighbours as channels, and changes that stay in the plane."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from plgg import api
from plgg.config import Augmentation
from plgg.data.inputs import Inputs, stack_neighbours
from plgg.data.store import Store
from plgg.data.store_arrays import OUTSIDE, decode
from plgg.phantom.cohort import make_cohort
from plgg.phantom.settings import phantom_settings
from plgg.train.augment import AugmentationParameters, Warp, apply_augmentation, sample_augmentation
from plgg.train.patches import PatchPlan, cut_patch, sample_plan

SETTINGS = ("preprocess.registration=centre", "preprocess.stripping=none")
PLAIN = (
    *SETTINGS,
    *(
        f"patches.augmentation.{name}=0"
        for name in Augmentation.model_fields
        if name not in ("flip_axes", "rotation_deg", "zoom")
    ),
)
STILL = Warp((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A store of a phantom's own slices, two sequences."""
    folder = tmp_path_factory.mktemp("slices")
    phantoms = phantom_settings(
        n_patients=1, seed=1, spacing_mm=4.0, slice_thickness_mm=5.0, sequences=("flair", "t2")
    )
    make_cohort(folder / "patients", phantoms)
    config = api.configure("best", settings=[*SETTINGS, "channels=[flair,t2]"])
    api.preprocess(folder / "patients" / "manifest.csv", folder / "store", config, workers=0)
    return Store(folder / "store")


@pytest.fixture(scope="module")
def case(made):
    """The first case that has a tumour mask."""
    return next(name for name, stored in made.by_id.items() if stored.has_mask)


def inputs(neighbours=1, channels=("flair", "t2"), neighbour_mm=5.5):
    return Inputs(channels, neighbours, neighbour_mm)


def patches(*rows, base=PLAIN):
    return api.configure("best", settings=[*base, *rows]).patches


# ---- Without changes ----


def test_the_store_holds_whole_slices(made):
    for name, stored in made.by_id.items():
        assert stored.shape[:2] == (112, 144)
        assert made.placement(name).slice_mm >= 2.5


@pytest.mark.parametrize("neighbours", [0, 1, 2])
def test_a_patch_is_its_slice_and_those_around_it(made, case, neighbours):
    """At every slice, the first and the last among them."""
    seen = inputs(neighbours)
    offsets = seen.offsets(made.placement(case).slice_mm)
    whole = stack_neighbours(decode(made.channels(case, seen.channels)), offsets)
    plan = sample_plan(made, case, patches(), np.random.default_rng(0), seen)
    assert plan.offsets == offsets
    assert plan.size == (112, 144, 1)
    assert plan.start[:2] == (0, 0)
    assert (plan.flips, plan.scale, plan.shift, plan.change) == ((), 1.0, 0.0, None)
    assert plan.lost == plan.dropped == ()
    for k in range(whole.shape[-1]):
        patch = cut_patch(made, replace(plan, start=(0, 0, k)))
        assert patch.image.shape == (2 * (1 + 2 * neighbours), 112, 144, 1)
        assert np.array_equal(patch.image, whole[..., k : k + 1])
        assert np.array_equal(patch.mask, made.mask(case)[..., k : k + 1])


AROUND = 50


@pytest.fixture(scope="module")
def continued(made, case):
    """The codes of the case with background about it."""
    codes = made.channels(case, ("flair", "t2"))
    return np.pad(codes, [(0, 0), *[(AROUND, AROUND)] * 3], constant_values=OUTSIDE)


@settings(max_examples=30)
@given(
    st.tuples(st.integers(-20, 100), st.integers(-20, 130), st.integers(-4, 20)),
    st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(1, 9)),
    st.lists(st.integers(-6, 6), max_size=4).map(lambda later: (0, *later)),
)
def test_a_patch_is_a_window_on_the_case_whatever_its_place_and_size(
    made, case, continued, start, size, offsets
):
    channels, shape = ("flair", "t2"), made.by_id[case].shape
    # Windows that hold some of the case: no others are drawn.
    start = [min(max(a, 1 - n), m - 1) for a, n, m in zip(start, size, shape, strict=True)]
    i, j, k = (slice(AROUND + a, AROUND + a + n) for a, n in zip(start, size, strict=True))
    shown = [continued[:, i, j, k.start + offset : k.stop + offset] for offset in offsets]
    plan = PatchPlan(case, tuple(start), size, channels=channels, offsets=offsets)
    assert np.array_equal(cut_patch(made, plan).image, decode(np.concatenate(shown)))


def test_every_slice_is_drawn_and_tumour_where_asked(made, case):
    rng = np.random.default_rng(0)
    n = made.by_id[case].shape[2]
    plain = patches("patches.tumour_share=0")
    starts = {sample_plan(made, case, plain, rng, inputs()).start for _ in range(60 * n)}
    assert starts == {(0, 0, k) for k in range(n)}
    aware = patches("patches.tumour_share=1")
    for _ in range(30):
        assert cut_patch(made, sample_plan(made, case, aware, rng, inputs())).mask.any()


# ---- Neighbours that are missing ----


def test_a_lost_neighbour_is_zero_and_nothing_else_changes(made, case):
    plan = PatchPlan(
        case, (0, 0, 6), (112, 144, 1), channels=("flair", "t2"), offsets=(0, -1, 1), scale=1.3
    )
    plain, lost = cut_patch(made, plan), cut_patch(made, replace(plan, lost=(-1,)))
    assert plain.image[2:4].any()
    assert not lost.image[2:4].any()
    for own in (slice(0, 2), slice(4, 6)):
        assert np.array_equal(lost.image[own], plain.image[own])
    assert np.array_equal(lost.mask, plain.mask)


def test_a_lost_neighbour_stays_zero_through_every_change(made, case):
    strong = patches(
        *(
            f"patches.augmentation.{name}=1"
            for name in ("warp", "anisotropy", "gamma", "bias", "noise", "elastic", "smoothing")
        )
    )
    for seed in range(5):
        plan = sample_plan(made, case, strong, np.random.default_rng(seed), inputs())
        plan = replace(plan, start=(0, 0, 6), lost=(plan.offsets[2],), shift=0.5)
        image = cut_patch(made, plan).image
        assert not image[4:6].any()
        assert image[:2].any()


def test_neighbours_are_lost_as_often_as_they_should(made, case):
    wanted = patches("patches.augmentation.neighbour_dropout=0.3")
    rng = np.random.default_rng(0)
    plans = [sample_plan(made, case, wanted, rng, inputs()) for _ in range(600)]
    for offset in plans[0].offsets[1:]:
        assert np.mean([offset in plan.lost for plan in plans]) == pytest.approx(0.3, abs=0.06)
    # The slice at hand never is.
    assert not any(0 in plan.lost for plan in plans)


def test_a_dropped_sequence_is_dropped_in_all_slices(made, case):
    plan = PatchPlan(case, (0, 0, 6), (112, 144, 1), channels=("flair", "t2"), offsets=(0, -1, 1))
    image = cut_patch(made, replace(plan, dropped=("t2",))).image
    assert not image[1::2].any()
    assert np.array_equal(image[::2], cut_patch(made, plan).image[::2])


def test_all_slices_of_a_sequence_have_one_scale_and_shift(made, case):
    plan = PatchPlan(case, (0, 0, 6), (112, 144, 1), channels=("flair", "t2"), offsets=(0, -1, 1))
    plain = cut_patch(made, plan).image
    image = cut_patch(made, replace(plan, scale=1.2, shift=0.3, more=((0.8, -0.1),))).image
    offsets = stack_neighbours(made.channels(case, ("flair", "t2")), (0, -1, 1), outside=OUTSIDE)
    inside = offsets[..., 6:7] != OUTSIDE
    for channel in range(6):
        scale, shift = ((1.2, 0.3), (0.8, -0.1))[channel % 2]
        brain = inside[channel]
        expected = plain[channel] * np.float32(scale) + np.float32(shift)
        np.testing.assert_allclose(image[channel][brain], expected[brain], atol=1e-6)
        assert not image[channel][~brain].any()


# ---- Plans ----


def test_plans_of_the_preset_depend_on_their_generator_alone(made, case):
    wanted = patches(base=SETTINGS)
    for seed in range(4):
        one, other = (
            sample_plan(made, case, wanted, np.random.default_rng(seed), inputs()) for _ in range(2)
        )
        assert one == other
        first, again = cut_patch(made, one), cut_patch(made, other)
        assert np.array_equal(first.image, again.image)
        assert np.array_equal(first.mask, again.mask)
        assert np.isfinite(first.image).all()
        assert set(np.unique(first.mask)) <= {0.0, 1.0}


def test_changes_of_single_slices_stay_in_their_plane(made, case):
    wanted = patches("patches.augmentation.anisotropy=1", base=SETTINGS)
    rng = np.random.default_rng(0)
    plans = [sample_plan(made, case, wanted, rng, inputs()) for _ in range(100)]
    for change in (plan.change for plan in plans):
        assert change.warp.angles_deg[:2] == (0.0, 0.0)
        assert change.warp.factors[2] == 1.0
        assert change.warp.shift[2] == 0.0
        assert change.thick[0] in {0, 1}
    assert {plan.change.thick[0] for plan in plans} == {0, 1}
    assert len({plan.change.warp.angles_deg[2] for plan in plans}) == len(plans)


# ---- Changes ----

SHAPE = (40, 48, 1)


def slices(n=6, shape=SHAPE):
    """Channels that are random within discs of unlike radius, and a tumour's mask."""
    rng = np.random.default_rng(0)
    i, j = np.indices(shape[:2])
    distance = np.hypot(i - 19.5, j - 23.5)[..., None]
    brain = np.stack([np.broadcast_to(distance < 12 + number, shape) for number in range(n)])
    image = np.where(brain, rng.normal(1.0, 1.0, (n, *shape)), 0).astype(np.float32)
    mask = np.broadcast_to(np.hypot(i - 22, j - 28)[..., None] <= 4, shape)
    return image, brain, mask.astype(np.float32)


IN_PLANE = st.integers(0, 2**32 - 1).map(
    lambda seed: sample_augmentation(
        Augmentation(warp=0.7, anisotropy=0.3, bias=0.5, noise=0.5, elastic=0.5, smoothing=0.5),
        np.random.default_rng(seed),
        in_plane=True,
    )
)


@settings(max_examples=40)
@given(IN_PLANE)
def test_a_change_in_the_plane_never_mixes_slices(change):
    """Each channel is changed as if it were alone; gamma aside, which is of the whole sequence."""
    image, brain, mask = slices()
    other = image.copy()
    # Whatever is in the other channels: it is not seen in this one.
    other[1:] = np.where(brain[1:], 50.0 - image[1:], 0)
    one = apply_augmentation(image, brain, mask, change, 2)
    two = apply_augmentation(other, brain, mask, change, 2)
    assert np.array_equal(one[0][0], two[0][0])
    assert np.array_equal(one[2], two[2])


@settings(max_examples=25)
@given(IN_PLANE, st.integers(2, 4))
def test_slices_of_a_thick_patch_do_not_mix_either(change, n):
    """The slices of a patch of several, changed together, are those changed one by one."""
    if change.bias_seed is not None or change.noise is not None:
        change = replace(change, bias_seed=None, noise=None)
    if change.warp is not None and change.warp.elastic_seed is not None:
        change = replace(change, warp=replace(change.warp, elastic_seed=None))
    image, brain, mask = slices(n)
    thick = [np.moveaxis(array, 0, -1)[..., 0, :] for array in (image, brain)]
    together = apply_augmentation(
        thick[0][None], thick[1][None], np.repeat(mask, n, axis=2), change
    )
    for k in range(n):
        alone = apply_augmentation(image[k : k + 1], brain[k : k + 1], mask, change)
        np.testing.assert_allclose(together[0][..., k : k + 1], alone[0], atol=1e-4)
        assert np.array_equal(together[1][..., k : k + 1], alone[1])


SMOOTH = st.builds(
    AugmentationParameters,
    warp=st.none() | st.integers(0, 2**32 - 1).map(lambda seed: replace(STILL, elastic_seed=seed)),
    smoothed=st.just(0.0) | st.floats(0.3, 1.0),
)


@settings(max_examples=40)
@given(SMOOTH)
def test_deformed_and_smoothed_slices_are_zero_outside_and_the_same_again(change):
    image, brain, mask = slices()
    found, inside, outline = apply_augmentation(image, brain, mask, change)
    assert not found[~inside].any()
    assert np.isfinite(found).all()
    assert set(np.unique(outline)) <= {0.0, 1.0}
    assert found.shape == image.shape
    again = apply_augmentation(image, brain, mask, change)
    for one, other in zip((found, inside, outline), again, strict=True):
        assert np.array_equal(one, other)
    if change.warp is None:
        assert np.array_equal(inside, brain)
        assert np.array_equal(outline, mask)


@settings(max_examples=25)
@given(SMOOTH)
def test_a_brain_of_one_value_keeps_it_to_its_rim(change):
    """Nothing from outside mixes in."""
    _, brain, mask = slices()
    found, inside, _ = apply_augmentation(2.0 * brain.astype(np.float32), brain, mask, change)
    np.testing.assert_allclose(found[inside], 2.0, atol=1e-4)


def test_a_deformation_moves_image_and_mask_together_and_not_far():
    _, brain, mask = slices(1, (112, 144, 1))
    change = AugmentationParameters(warp=replace(STILL, elastic_seed=5))
    image = np.where(mask[None] > 0, 4.0, 0.0).astype(np.float32)
    found, _, outline = apply_augmentation(image, np.ones_like(brain), mask, change)
    assert np.array_equal(found[0] >= 2.0, outline > 0)
    assert not np.array_equal(outline, mask)
    gap = np.argwhere(outline).mean(axis=0) - np.argwhere(mask).mean(axis=0)
    assert np.abs(gap).max() < 4.0
    assert gap[2] == 0.0


def test_smoothing_is_a_gaussian_in_the_plane():
    image = np.random.default_rng(0).standard_normal((1, 30, 32, 3)).astype(np.float32)
    whole, mask = np.ones(image.shape, bool), np.zeros(image.shape[1:], np.float32)
    found, _, _ = apply_augmentation(image, whole, mask, AugmentationParameters(smoothed=0.9))
    expected = ndimage.gaussian_filter(image[0], (0.9, 0.9, 0.0), radius=(2, 2, 0))
    inner = (slice(3, -3), slice(3, -3))
    np.testing.assert_allclose(found[0][inner], expected[inner], atol=1e-5)


def test_slices_of_a_sequence_have_the_same_bias_field_and_sequences_their_own():
    image, _, mask = slices()
    whole = np.ones(image.shape, bool)
    found, _, _ = apply_augmentation(image, whole, mask, AugmentationParameters(bias_seed=3), 2)
    fields = found - image
    for channel in range(2, 6):
        np.testing.assert_allclose(fields[channel], fields[channel % 2], atol=1e-5)
    assert np.abs(fields[0] - fields[1]).max() > 0.05


def test_slices_of_a_sequence_have_one_curve_of_contrast():
    image, _, mask = slices()
    whole = np.ones(image.shape, bool)
    found, _, _ = apply_augmentation(image, whole, mask, AugmentationParameters(gamma=1.3), 2)
    for sequence in range(2):
        before, after = image[sequence::2].ravel(), found[sequence::2].ravel()
        order = np.argsort(before)
        assert (np.diff(after[order]) >= -1e-5).all()
        assert after.mean() == pytest.approx(before.mean(), abs=1e-3)


def test_noise_is_of_each_slice_by_itself():
    image, _, mask = slices()
    whole = np.ones(image.shape, bool)
    found, _, _ = apply_augmentation(image, whole, mask, AugmentationParameters(noise=(0.2, 3)), 2)
    noise = (found - image).reshape(6, -1)
    assert np.abs(np.corrcoef(noise) - np.eye(6)).max() < 0.1


def test_new_changes_that_are_off_draw_no_number():
    """Plans of settings that were there before are what they were."""
    old = Augmentation(warp=0.5, gamma=0.5, noise=0.5)
    one, other = np.random.default_rng(0), np.random.default_rng(0)
    for _ in range(20):
        plain = sample_augmentation(old, one)
        with_field = sample_augmentation(old.model_copy(update={"elastic": 0.0}), other)
        assert plain == with_field
    assert one.random() == other.random()
