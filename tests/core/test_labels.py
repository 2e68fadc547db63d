"""Labels within a thousandth of a whole number are whole; anything else is no label."""

import numpy as np
import pytest

from plgg.core.masks import whole_labels


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_rounding_is_taken_off(kind):
    data = np.array([[0.0, 1e-4, -1e-4], [0.9999999, 3.0000458, 4.0009]], dtype=kind)
    labels = whole_labels(data)
    np.testing.assert_array_equal(labels, [[0, 0, 0], [1, 3, 4]])
    assert labels.dtype == kind
    assert not np.signbit(labels).any()


@pytest.mark.parametrize("kind", [bool, np.uint8, np.int16, np.float32])
def test_whole_labels_stay_what_they_are(kind):
    data = np.array([0, 1, 1], dtype=kind)
    assert whole_labels(data) is data


@pytest.mark.parametrize("value", [0.5, 0.996, 1.0011, -0.3, np.nan, np.inf, -np.inf])
def test_what_is_no_label_is_none(value):
    assert whole_labels(np.array([0.0, 1.0, value])) is None


def test_no_voxels_are_no_fault():
    assert whole_labels(np.zeros((0, 3))).shape == (0, 3)
