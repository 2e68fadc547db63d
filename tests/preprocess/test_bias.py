"""N4 on the template brain under a known field, and on values that have no logarithm."""

import numpy as np
import pytest

from helper import make_affine
from plgg.core.volume import Volume
from plgg.data.atlas.template import template_map
from plgg.preprocess.bias import bias_field, correct_bias_field, darkness


def variation(volume, region):
    inside = volume.data[region]
    return inside.std() / inside.mean()


@pytest.fixture(scope="module")
def phantom():
    """A brain with FLAIR's contrast and noise, its white matter, and a smooth field of mean 1."""
    grey, white = (template_map(name).data[::2, ::2, ::2] for name in ("grey", "white"))
    brain = template_map("t1").data[::2, ::2, ::2] > 0
    noise = np.random.default_rng(0).normal(0.0, 0.04, brain.shape)
    data = np.where(brain, np.maximum(0.2 + 0.85 * grey + 0.6 * white + noise, 0.01), 0.0)
    affine = make_affine((2.0, 2.0, 2.0), axes="LPS", turn_degrees=(10.0, 5.0, -8.0))
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, n) for n in brain.shape], indexing="ij")
    field = np.exp(0.35 * x + 0.25 * y**2 - 0.3 * z * y)
    clean = Volume((100.0 * data).astype(np.float32), affine)
    return clean, brain, (white > 0.8) & brain, field / field[brain].mean()


def test_a_known_field_is_found_and_taken_out(phantom):
    clean, brain, white, field = phantom
    spoilt = clean.with_data((clean.data * field).astype(np.float32))
    found = bias_field(spoilt, brain)
    assert np.std(np.log(found.data / field)[brain]) < 0.3 * np.std(np.log(field)[brain])
    mended = correct_bias_field(spoilt, brain)
    assert variation(spoilt, white) > 1.8 * variation(clean, white)
    assert variation(mended, white) < 1.15 * variation(clean, white)
    np.testing.assert_allclose(mended.data, spoilt.data / found.data, rtol=1e-5)


def test_the_field_is_positive_smooth_and_one_on_average(phantom):
    clean, brain, _, field = phantom
    spoilt = clean.with_data((clean.data * field).astype(np.float32))
    found = bias_field(spoilt, brain).data
    assert found.shape == clean.shape
    assert found.dtype == np.float32
    assert found[brain].mean(dtype=float) == pytest.approx(1.0, abs=1e-5)
    assert 0 < found[brain].min() == found.min()
    assert found.max() == found[brain].max()
    steps = [np.abs(np.diff(np.log(found), axis=axis)).max() for axis in range(3)]
    assert max(steps) < 0.03


def test_an_image_without_bias_is_left_nearly_alone(phantom):
    clean, brain, _, _ = phantom
    assert np.std(np.log(bias_field(clean, brain).data[brain])) < 0.04


def test_a_large_bright_tumour_keeps_its_contrast(phantom):
    clean, brain, white, field = phantom
    middle = np.argwhere(brain).mean(axis=0) + np.array([12, 6, 6])
    distance = np.linalg.norm(np.moveaxis(np.indices(brain.shape), 0, -1) - middle, axis=-1)
    tumour = (distance < 14) & brain
    data = np.where(tumour, 160.0, clean.data)
    mended = correct_bias_field(clean.with_data((data * field).astype(np.float32)), brain).data
    before, after = (
        image[tumour].mean() / image[white & ~tumour].mean() for image in (data, mended)
    )
    assert after > 0.93 * before


@pytest.mark.parametrize("background", ["darkness", "zero"])
def test_z_scores_are_mended_like_the_intensities_they_come_from(phantom, background):
    clean, brain, white, field = phantom
    data = clean.data * field
    mean, spread = data[brain].mean(), data[brain].std()
    z_score = (data - mean) / spread
    if background == "zero":
        z_score = np.where(brain, z_score, 0.0)
    image = clean.with_data(z_score.astype(np.float32))
    assert darkness(image, brain) == pytest.approx(-mean / spread, rel=0.25)
    mended = correct_bias_field(image, brain)
    assert mended.data[0, 0, 0] == image.data[0, 0, 0]
    restored = clean.with_data(mended.data * spread + mean)
    assert variation(restored, white) < 1.25 * variation(clean, white)


def test_a_flat_image_has_a_flat_field(phantom):
    clean, brain, _, _ = phantom
    found = bias_field(clean.with_data(np.where(brain, np.float32(7), np.float32(0))), brain)
    assert (found.data == 1).all()
