"""Filling holes, against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from plgg.core.masks import fill_holes


@pytest.mark.parametrize("shape", [(7, 6), (7, 6, 5)])
@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.0, 1.0))
def test_a_mask_is_filled_as_scipy_fills_it(shape, seed, density):
    mask = np.random.default_rng(seed).random(shape) < density
    np.testing.assert_array_equal(fill_holes(mask), ndimage.binary_fill_holes(mask))
