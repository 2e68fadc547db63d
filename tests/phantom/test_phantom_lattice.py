"""Laws of the B-spline lattice."""

from __future__ import annotations

import numpy as np
import pytest

from plgg.phantom.lattice import covering, evaluate, noise, weights


def test_weights_sum_to_one():
    assert np.allclose(weights(np.linspace(-2, 12, 57), 9).sum(axis=1), 1.0, atol=1e-6)


def test_linear_functions_are_reproduced():
    nodes, positions = covering((20, 13, 7), 3.0)
    x, y, z = np.meshgrid(*[(np.arange(n) - 1.0) * 3.0 for n in nodes], indexing="ij")
    field = evaluate((2 * x - y + 0.5 * z + 4).astype(np.float32), positions)
    i, j, k = np.meshgrid(np.arange(20), np.arange(13), np.arange(7), indexing="ij")
    assert field == pytest.approx(2 * i - j + 0.5 * k + 4, abs=1e-4)


def test_noise_is_centred_of_unit_spread_and_smooth():
    field = noise(np.random.default_rng(0), (90, 90, 90), 5.0)
    assert abs(field.mean()) < 0.1
    assert field.std() == pytest.approx(1.0, abs=0.1)
    assert np.abs(np.diff(field, axis=0)).mean() < 0.2
