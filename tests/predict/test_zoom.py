"""Sizes at which an image is shown: what comes back lies where it was, and brain stays brain."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from plgg.config import InferenceConfig
from plgg.data.store_arrays import OUTSIDE
from plgg.model.device import choose_runtime
from plgg.model.network import build_network
from plgg.predict.engine import Answer, Engine
from plgg.predict.engines.load import torch_engine
from plgg.predict.memory import HOST
from plgg.predict.whole_brain import predict_box
from plgg.predict.zoom import resized, zoomed, zoomed_shape
from tiny import blob_case, tiny_config

SIDES = st.tuples(*[st.integers(1, 12)] * 3)


def smooth(shape):
    i, j, k = np.meshgrid(*(np.arange(n) + 0.5 for n in shape), indexing="ij")
    return (2 * i - 3 * j + 0.5 * k).astype(np.float32)[None]


@given(shape=SIDES, other=SIDES)
@settings(max_examples=60, deadline=None)
def test_a_constant_stays_one_and_nothing_exceeds_what_was_there(shape, other):
    values = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
    found = resized(values, other)
    assert found.shape == (2, *other)
    assert found.min() >= values.min() - 1e-5
    assert found.max() <= values.max() + 1e-5
    np.testing.assert_allclose(resized(np.full_like(values, 3.0), other), 3.0, rtol=1e-6)


@pytest.mark.parametrize("zoom", [0.8, 1.25, 1.5, 2.0])
@pytest.mark.parametrize("in_plane", [True, False])
def test_a_place_stays_where_it_is(zoom, in_plane):
    """A ramp in the millimetres of the box is the same at any size, but for its last voxels."""
    shape = (20, 16, 12)
    shown = zoomed_shape(shape, zoom, in_plane=in_plane)
    assert (shown[2] == shape[2]) is in_plane
    found = resized(smooth(shape), shown)
    step = np.array(shape) / np.array(shown)
    i, j, k = np.meshgrid(
        *(s * (np.arange(n) + 0.5) for n, s in zip(shown, step, strict=True)), indexing="ij"
    )
    within = (slice(None), *[slice(3, -3)] * 3)
    np.testing.assert_allclose(found[within], (2 * i - 3 * j + 0.5 * k)[None][within], atol=1e-4)
    back = resized(found, shape)
    np.testing.assert_allclose(back[within], smooth(shape)[within], atol=1e-4)


def test_the_brain_does_not_mix_with_what_is_outside():
    shape = (12, 12, 3)
    inside = np.zeros((1, *shape), bool)
    inside[0, 3:9, 2:10] = True
    image = np.where(inside, np.float32(2.0), np.float32(0.0))
    for zoom in (0.75, 1.5):
        found = zoomed(image, inside, zoomed_shape(shape, zoom, in_plane=True))
        assert set(np.unique(found.round(4))) == {0.0, 2.0}
        assert found.astype(bool).mean() == pytest.approx(inside.mean(), rel=0.15)


def looking(shapes, *, divisors=(4, 4, 1)):
    """An engine that finds what it is shown: its logits are the image's first channel."""

    def step(image):
        shapes.append(image.shape)
        return Answer(image[0].copy(), {}, np.zeros(1, np.float32))

    return Engine("looking", divisors, step, HOST)


def z_scores(shape=(21, 18, 5)):
    codes = np.full(shape, OUTSIDE, np.int8)
    codes[2:-2, 2:-2] = (10 * np.sin(np.arange(shape[0] - 4) / 3))[:, None, None].astype(np.int8)
    return codes


def test_every_size_and_mirror_image_is_a_look_and_the_answer_is_their_mean():
    shapes = []
    asked = InferenceConfig(zooms=(1.0, 1.5), mirror=True)
    found = predict_box(looking(shapes), z_scores(), asked, measure=False, offsets=(0, -2, 2))
    assert shapes == [(3, 24, 20, 5)] * 2 + [(3, 32, 28, 5)] * 2
    assert len(found.views) == 4
    np.testing.assert_allclose(np.mean(found.views, axis=0), found.tumour, atol=1e-6)
    once = predict_box(looking([]), z_scores(), InferenceConfig(), measure=False)
    for view in found.views:
        assert view.shape == once.tumour.shape
        np.testing.assert_allclose(view[4:-4, 4:-4], once.tumour[4:-4, 4:-4], atol=0.06)


def signs(where, shape=(16, 12, 9)):
    """z-scores that `looking` takes for no tumour but in some slices."""
    codes = np.full(shape, -100, np.int8)
    codes[4:8, 3:9, where] = 60
    return codes


@pytest.mark.parametrize("where", [[2, 3, 7], [0], list(range(9))])
def test_further_sizes_are_of_the_slices_with_a_sign_of_tumour(where):
    shapes = []
    asked = InferenceConfig(zooms=(1.0, 1.5, 1.25), mirror=True)
    found = predict_box(looking(shapes), signs(where), asked, measure=False)
    once = predict_box(looking([]), signs(where), InferenceConfig(mirror=True), measure=False)
    assert [shape[3] for shape in shapes] == [9] * 2 + [len(where)] * 4
    assert len(found.views) == 6
    others = np.setdiff1d(np.arange(9), where)
    np.testing.assert_allclose(found.tumour[..., others], once.tumour[..., others], atol=1e-6)
    for number, view in enumerate(found.views):
        assert np.array_equal(view[..., others], once.views[number % 2][..., others])
    every = [
        predict_box(looking([]), signs(where), InferenceConfig(zooms=(z,)), measure=False).tumour
        for z in asked.zooms
    ]
    np.testing.assert_allclose(
        found.tumour[..., where], np.mean(every, axis=0)[..., where], atol=1e-6
    )


def test_where_there_is_no_sign_a_scan_is_shown_once_and_counts_as_seen():
    shapes = []
    asked = InferenceConfig(zooms=(1.0, 1.25), mirror=True)
    found = predict_box(looking(shapes), signs([]), asked, measure=False)
    assert len(shapes) == 2
    assert len(found.views) == 4
    assert found.tumour.max() < 0.1


def test_what_is_not_the_outline_is_read_at_the_first_size():
    network = build_network(tiny_config().model, n_classes=3, arm="single", seed=0).eval()
    engine = torch_engine(network, choose_runtime("fp32"))
    codes = blob_case((24, 32, 16))[0]
    one, two = (predict_box(engine, codes, InferenceConfig(zooms=z)) for z in ((1,), (1, 1.3)))
    assert np.array_equal(one.features, two.features)
    assert not np.array_equal(one.tumour, two.tumour)


@pytest.mark.parametrize("shape", [(24, 32, 16), (21, 27, 13)])
def test_a_mirrored_scan_gets_the_mirrored_answer_at_every_size(shape):
    network = build_network(tiny_config().model, n_classes=3, arm="single", seed=0).eval()
    runtime = choose_runtime("fp32")
    engine = torch_engine(network.to(runtime.device), runtime)
    asked = InferenceConfig(zooms=(0.8, 1.0, 1.3), mirror=True)
    codes = blob_case(shape)[0]
    one = predict_box(engine, codes, asked)
    two = predict_box(engine, np.ascontiguousarray(codes[::-1]), asked)
    assert one.tumour.shape == shape
    assert len(one.views) == 6
    np.testing.assert_allclose(one.tumour, two.tumour[::-1], atol=1e-5)
    plain = predict_box(engine, codes, InferenceConfig(mirror=True))
    assert np.array_equal(one.views[2], plain.views[0])


@pytest.mark.parametrize("zooms", [[], [0.0], [3.0], [-1.0], [1.0] * 9, ["large"]])
def test_sizes_that_cannot_be_are_refused(zooms):
    with pytest.raises(ValidationError):
        InferenceConfig.model_validate_json(json.dumps({"zooms": zooms}))
