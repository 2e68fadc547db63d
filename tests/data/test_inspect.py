"""Known answers: one healthy brain on odd grids, and the same brain spoilt in each known way."""

import numpy as np
import pytest

from helper import ODD_AFFINES, SHAPE, blob_brain, make_affine, world_points
from plgg.core.volume import Volume
from plgg.data.check.image import background_value, brain_ml, inspect_image, looks_raw
from plgg.data.check.mask import inspect_mask


def codes(findings):
    return [finding.code for finding in findings]


@pytest.fixture
def brain():
    return blob_brain()


@pytest.mark.parametrize("name", ODD_AFFINES)
def test_a_healthy_scan_gives_no_finding_on_any_grid(name):
    flair, mask = blob_brain(affine=ODD_AFFINES[name])
    assert inspect_image(flair) == []
    assert inspect_mask(mask, flair) == []


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_an_error(brain, bad):
    flair, _ = brain
    flair.data[5, 6, 7] = bad
    (finding,) = inspect_image(flair)
    assert (finding.code, finding.severity) == ("not-finite", "error")
    assert "1 voxel that is" in finding.message


def test_a_brain_below_its_background_is_told_and_one_without_a_background_is_not(brain):
    flair, _ = brain
    inverted = flair.with_data(255.0 - flair.data)
    assert "inverted" in [one.code for one in inspect_image(inverted)]
    air = np.random.default_rng(0).normal(-900.0, 5.0, flair.shape)
    assert "inverted" not in [one.code for one in inspect_image(flair.with_data(flair.data + air))]
    scores = (flair.data - flair.data[flair.data > 0].mean()) * (flair.data > 0)
    assert inspect_image(flair.with_data(scores)) == []


@pytest.mark.parametrize("value", [0.0, 7.0])
def test_a_constant_image_is_an_error(brain, value):
    (finding,) = inspect_image(brain[0].with_data(np.full(SHAPE, value, np.float32)))
    assert (finding.code, finding.severity) == ("constant", "error")


def test_a_mask_in_the_place_of_the_flair_is_an_error(brain):
    flair, mask = brain
    labels = mask.data.astype(np.float32) + (flair.data > 0)
    for values in (mask.data.astype(np.float32), labels, labels * 0.1):
        assert codes(inspect_image(flair.with_data(values))) == ["flair-is-mask"]


def test_an_eight_bit_flair_is_not_mistaken_for_a_mask(brain):
    flair, _ = brain
    eight_bit = np.round(flair.data).clip(0, 255).astype(np.float32)
    assert inspect_image(flair.with_data(eight_bit)) == []


def test_a_coarsely_quantised_flair_is_not_mistaken_for_a_mask(brain):
    flair, _ = brain
    assert inspect_image(flair.with_data(np.round(flair.data / 8))) == []


def test_z_scores_with_zero_outside_are_healthy(brain):
    flair, _ = brain
    inside = flair.data > 0
    z_score = (flair.data - flair.data[inside].mean()) / flair.data[inside].std()
    assert inspect_image(flair.with_data(np.where(inside, z_score, 0))) == []


def test_z_scores_over_the_whole_image_have_a_background_that_is_not_zero(brain):
    flair, _ = brain
    shifted = flair.with_data(flair.data - 3.5)
    (finding,) = inspect_image(shifted)
    assert (finding.code, finding.severity) == ("background", "note")
    assert "-3.5" in finding.message
    assert background_value(shifted.data) == -3.5
    assert brain_ml(shifted) == brain_ml(flair)


def test_a_background_is_what_all_corners_and_many_voxels_hold(brain):
    flair, _ = brain
    assert background_value(flair.data) == 0
    one_off = flair.data - np.float32(3.5)
    one_off[0, 0, 0] = 2.0
    assert background_value(one_off) == 0
    full = np.random.default_rng(0).normal(size=SHAPE)
    full[np.ix_([0, -1], [0, -1], [0, -1])] = 9.0
    assert background_value(full) == 0


def test_a_mask_on_another_background_is_still_a_mask(brain):
    flair, mask = brain
    assert codes(inspect_image(flair.with_data(mask.data - np.float32(3)))) == ["flair-is-mask"]


def raw_head(*, air):
    """A head of brain, dark skull and scalp; `air` is the noise around it."""
    affine = make_affine((5.5, 5.5, 6.5))
    points = world_points(SHAPE, affine)
    radius = np.sqrt(np.square(points / (62.0, 78.0, 58.0)).sum(axis=-1))
    noise = np.random.default_rng(1).uniform(1.0, 5.0, SHAPE)
    head = np.where(radius <= 1.0, 100.0, np.where(radius <= 1.2, 6.0, 150.0)) + noise
    outside = noise if air else 0.0
    return Volume(np.where(radius <= 1.28, head, outside).astype(np.float32), affine)


@pytest.mark.parametrize("air", [True, False], ids=["noisy air", "air set to 0"])
def test_a_raw_head_is_noted_and_no_fault(air):
    head = raw_head(air=air)
    (finding,) = inspect_image(head)
    assert (finding.code, finding.severity) == ("not-stripped", "note")
    assert looks_raw(head) in finding.message


@pytest.mark.parametrize("air", [True, False], ids=["noisy air", "air set to 0"])
def test_a_raw_head_is_known_on_any_background(air):
    head = raw_head(air=air)
    assert looks_raw(head.with_data(head.data - 40.0))


@pytest.mark.parametrize("name", ODD_AFFINES)
def test_a_stripped_brain_does_not_look_raw_on_any_grid(name):
    flair, _ = blob_brain(affine=ODD_AFFINES[name])
    assert looks_raw(flair) is None
    assert looks_raw(flair.with_data(flair.data - 40.0)) is None


def test_what_reaches_the_edges_of_the_image_is_not_a_stripped_brain(brain):
    flair, _ = brain
    data = flair.data.copy()
    data[:, :2, :2] = 90.0
    data[:, -2:, -2:] = 90.0
    assert codes(inspect_image(flair.with_data(data))) == ["not-stripped"]


def test_a_brain_cropped_to_its_box_is_healthy(brain):
    flair, _ = brain
    box = tuple(slice(hits.min(), hits.max() + 1) for hits in np.nonzero(flair.data))
    assert inspect_image(Volume(flair.data[box], flair.affine)) == []


@pytest.mark.parametrize(
    ("spacing_mm", "expected"),
    [
        ((3.0, 3.0, 13.0), ["spacing"]),
        ((2.0, 2.0, 2.0), ["brain-volume"]),
        ((8.0, 8.0, 8.0), ["brain-volume"]),
    ],
)
def test_implausible_sizes_are_warnings(brain, spacing_mm, expected):
    findings = inspect_image(Volume(brain[0].data, make_affine(spacing_mm)))
    assert codes(findings) == expected
    assert {finding.severity for finding in findings} == {"warning"}


def test_an_empty_mask_is_a_warning(brain):
    flair, mask = brain
    (finding,) = inspect_mask(mask.with_data(np.zeros(SHAPE)), flair)
    assert (finding.code, finding.severity) == ("mask-empty", "warning")


@pytest.mark.parametrize("scale", [1, 255, 254 / 255])
def test_one_label_is_binary_however_it_is_scaled(brain, scale):
    flair, mask = brain
    assert inspect_mask(mask.with_data(mask.data * scale), flair) == []


def test_several_labels_are_a_warning_that_says_how_they_are_read(brain):
    flair, mask = brain
    labels = mask.data.copy()
    labels[:18] *= 4
    labels[20, 20, 16] = 2
    (finding,) = inspect_mask(mask.with_data(labels), flair)
    assert (finding.code, finding.severity) == ("mask-labels", "warning")
    assert "above 0" in finding.message


@pytest.mark.parametrize("kind", ["fractions", "image", "negative", "nan"])
def test_what_is_no_mask_is_an_error(brain, kind):
    flair, mask = brain
    soft = mask.data.astype(np.float32)
    if kind == "fractions":
        soft[soft > 0] = np.linspace(0.1, 1.0, int(soft.sum()))
    elif kind == "image":
        soft = np.round(flair.data)
    else:
        soft[20, 20, 16] = -1.0 if kind == "negative" else np.nan
    findings = inspect_mask(mask.with_data(soft), flair)
    assert findings[0].code == "mask-not-binary"
    assert findings[0].severity == "error"


def test_shape_and_place_of_a_mask_are_told_apart(brain):
    flair, mask = brain
    assert codes(inspect_mask(Volume(mask.data[:-1], mask.affine), flair)) == ["mask-shape"]
    moved = make_affine((4.5, 4.5, 4.5))
    moved[0, 3] += 9.0
    assert codes(inspect_mask(Volume(mask.data, moved), flair)) == ["mask-grid"]


@pytest.mark.parametrize(("shift_mm", "expected"), [(0.05, []), (0.2, ["mask-grid"])])
def test_rounding_in_a_header_is_tolerated(brain, shift_mm, expected):
    flair, mask = brain
    affine = mask.affine.copy()
    affine[0, 3] += shift_mm
    assert codes(inspect_mask(Volume(mask.data, affine), flair)) == expected


def test_a_mask_off_the_brain_is_a_warning(brain):
    flair, mask = brain
    (finding,) = inspect_mask(mask.with_data(np.roll(mask.data, 12, axis=0)), flair)
    assert (finding.code, finding.severity) == ("mask-outside", "warning")


def test_a_mask_of_most_of_the_brain_is_a_warning(brain):
    flair, mask = brain
    most = (flair.data > 0) & (np.indices(SHAPE)[0] < 21)
    (finding,) = inspect_mask(mask.with_data(most.astype(np.uint8)), flair)
    assert (finding.code, finding.severity) == ("mask-large", "warning")
    assert f"{most.sum() / (flair.data > 0).sum():.0%} of the brain" in finding.message


def test_a_mask_without_a_readable_flair_is_still_looked_at(brain):
    _, mask = brain
    assert inspect_mask(mask, None) == []
    assert codes(inspect_mask(mask.with_data(np.zeros(SHAPE)), None)) == ["mask-empty"]
