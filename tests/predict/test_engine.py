"""The engine: shapes, padding and mirrors change nothing that they should not."""

import json

import numpy as np
import pytest
import torch

from plgg.data.store_arrays import OUTSIDE, decode
from plgg.model.device import choose_runtime
from plgg.model.network import build_network, marker_alone
from plgg.predict.engines.load import torch_engine
from plgg.predict.whole_brain import predict_box
from tiny import blob_case, tiny_config

FP32 = choose_runtime("fp32")
EVEN, ODD = (24, 32, 16), (21, 27, 13)


def network_of(arm="multitask"):
    network = build_network(tiny_config().model, n_classes=3, arm=arm, seed=0)
    return network.to(FP32.device).eval()


@pytest.fixture(scope="module")
def network():
    return network_of()


def predict(network, codes, *, mirror=False, window=None, runtime=FP32):
    wanted = (f"inference.mirror={json.dumps(mirror)}", f"inference.window={json.dumps(window)}")
    settings = tiny_config(*wanted).inference
    return predict_box(torch_engine(network, runtime), codes, settings, tasks=marker_alone(3))


def codes_of(shape):
    return blob_case(shape)[0]


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("shape", [EVEN, ODD, (1, 9, 8), (8, 8, 8)])
def test_the_answer_has_the_shape_of_the_box(network, shape, mirror):
    answer = predict(network, codes_of(shape), mirror=mirror)
    assert answer.tumour.shape == shape
    assert answer.tumour.dtype == np.float32
    assert 0 <= answer.tumour.min() <= answer.tumour.max() <= 1
    assert answer.marker.shape == (3,)
    assert answer.marker.dtype == np.float64
    assert answer.marker.sum() == pytest.approx(1.0, abs=1e-12)


def test_a_box_that_fits_is_the_network_itself(network):
    codes = codes_of(EVEN)
    image = torch.from_numpy(decode(codes))[None, None].to(FP32.device)
    with torch.no_grad():
        outputs = network(image.to(memory_format=torch.channels_last_3d))
    answer = predict(network, codes)
    expected = torch.sigmoid(outputs["segmentation"])[0, 0].cpu().numpy()
    np.testing.assert_allclose(answer.tumour, expected, atol=1e-6)
    marker = torch.softmax(outputs["marker"], dim=1)[0].cpu().numpy()
    np.testing.assert_allclose(answer.marker, marker, atol=1e-6)


def test_padding_is_background(network):
    codes = codes_of(ODD)
    padding = [(0, -n % side) for n, side in zip(ODD, network.divisors, strict=True)]
    padded = np.pad(codes, padding, constant_values=OUTSIDE)
    small, large = predict(network, codes), predict(network, padded)
    i, j, k = ODD
    np.testing.assert_allclose(small.tumour, large.tumour[:i, :j, :k], atol=1e-6)
    assert np.array_equal(small.marker, large.marker)


@pytest.mark.parametrize("shape", [EVEN, ODD])
def test_a_mirrored_scan_gets_the_mirrored_answer(network, shape):
    codes = codes_of(shape)
    mirrored = np.ascontiguousarray(codes[::-1])
    one, two = predict(network, codes, mirror=True), predict(network, mirrored, mirror=True)
    assert np.array_equal(one.tumour, two.tumour[::-1])
    assert np.array_equal(one.marker, two.marker)
    # Without mirrors the network is not symmetric.
    plain, other = predict(network, codes), predict(network, mirrored)
    assert not np.array_equal(plain.tumour, other.tumour[::-1])
    mean = (plain.tumour + other.tumour[::-1]) / 2
    np.testing.assert_allclose(one.tumour, mean, atol=1e-6)
    np.testing.assert_allclose(one.marker, (plain.marker + other.marker) / 2, atol=1e-9)


@pytest.mark.parametrize("window", [None, (16, 16, 16)])
def test_each_view_is_given_turned_back(network, window):
    codes = codes_of(ODD)
    once = predict(network, codes, window=window)
    assert len(once.views) == 1
    assert np.array_equal(once.views[0], once.tumour)
    assert once.window == window
    both = predict(network, codes, window=window, mirror=True)
    mirrored = predict(network, codes[::-1].copy(), window=window)
    assert len(both.views) == 2
    assert np.array_equal(both.views[0], once.tumour)
    assert np.array_equal(both.views[1], mirrored.tumour[::-1])
    np.testing.assert_allclose(np.mean(both.views, axis=0), both.tumour, atol=1e-7)


def test_features_are_the_pooled_bottleneck(network):
    codes = codes_of(EVEN)
    image = torch.from_numpy(decode(codes))[None, None].to(FP32.device)
    with torch.no_grad():
        bottleneck, _ = network.encode(image.to(memory_format=torch.channels_last_3d))
    features = bottleneck.mean(dim=(0, 2, 3, 4)).cpu().numpy()
    found = predict(network, codes)
    assert found.features.dtype == np.float32
    np.testing.assert_allclose(found.features, features, atol=1e-5)
    rough = predict(network, codes, runtime=choose_runtime("bf16")).features
    assert rough.dtype == np.float32
    np.testing.assert_allclose(rough, features, atol=0.02 * np.abs(features).max())
    windows = predict(network, codes, window=(16, 16, 16)).features
    assert windows.shape == features.shape


@pytest.mark.parametrize("window", [(16, 16, 16), (24, 8, 16), (32, 32, 32)])
@pytest.mark.parametrize("shape", [EVEN, ODD])
def test_windows_give_the_shape_of_the_box(network, shape, window):
    codes = codes_of(shape)
    answer = predict(network, codes, window=window)
    assert answer.tumour.shape == shape
    assert 0 <= answer.tumour.min() <= answer.tumour.max() <= 1
    assert answer.marker.shape == (3,)
    assert answer.marker.sum() == pytest.approx(1.0, abs=1e-12)
    mirrored = predict(network, codes[::-1].copy(), window=window, mirror=True)
    both = predict(network, codes, window=window, mirror=True)
    np.testing.assert_allclose(both.tumour, mirrored.tumour[::-1], atol=1e-6)


def test_one_window_as_large_as_the_box_is_one_pass(network):
    codes = codes_of(EVEN)
    once, windowed = predict(network, codes), predict(network, codes, window=EVEN)
    np.testing.assert_allclose(windowed.tumour, once.tumour, atol=1e-6)
    np.testing.assert_allclose(windowed.marker, once.marker, atol=1e-12)


def test_the_single_arm_says_nothing_of_the_marker():
    assert predict(network_of("single"), codes_of(ODD)).marker is None


def test_bf16_says_nearly_the_same(network):
    codes = codes_of(ODD)
    exact = predict(network, codes)
    rough = predict(network, codes, runtime=choose_runtime("bf16"))
    assert rough.tumour.dtype == np.float32
    assert np.abs(exact.tumour - rough.tumour).max() < 0.05
    assert rough.marker.sum() == pytest.approx(1.0, abs=1e-12)


def test_predicting_changes_nothing_in_the_network(network):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    codes = codes_of(ODD)
    first, second = predict(network, codes), predict(network, codes)
    assert np.array_equal(first.tumour, second.tumour)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
