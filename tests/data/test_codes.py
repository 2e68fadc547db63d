"""One byte a voxel: bounded error, and outside stays outside."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from plgg.data.store_arrays import OUTSIDE, STEP, decode, encode

LARGEST = 127 * STEP
SHAPES = hnp.array_shapes(min_dims=3, max_dims=3, max_side=4)


def z_scores(limit):
    return hnp.arrays(np.float32, SHAPES, elements=st.floats(-limit, limit, width=32))


def everywhere(z_score):
    return np.ones(z_score.shape, dtype=bool)


@settings(deadline=None, max_examples=40)
@given(z_scores(6.25))
def test_the_error_is_half_a_step(z_score):
    back = decode(encode(z_score, everywhere(z_score)))
    assert np.abs(back - z_score).max() <= STEP / 2 + 1e-6
    assert back.dtype == np.float32


@settings(deadline=None, max_examples=40)
@given(z_scores(1000.0))
def test_extremes_saturate_and_are_never_outside(z_score):
    codes = encode(z_score, everywhere(z_score))
    assert not (codes == OUTSIDE).any()
    assert np.abs(decode(codes) - np.clip(z_score, -LARGEST, LARGEST)).max() <= STEP / 2 + 1e-5


@settings(deadline=None, max_examples=40)
@given(z_scores(1000.0), st.randoms(use_true_random=False))
def test_outside_is_zero_whatever_it_was(z_score, random):
    brain = np.array([random.random() < 0.5 for _ in range(z_score.size)]).reshape(z_score.shape)
    codes = encode(z_score, brain)
    np.testing.assert_array_equal(codes == OUTSIDE, ~brain)
    assert not decode(codes)[~brain].any()


def test_codes_are_stable():
    every = np.arange(-127, 128, dtype=np.int8).reshape(3, 5, 17)
    np.testing.assert_array_equal(encode(decode(every), everywhere(every)), every)
