"""Where a box lies: inverse maps, exact JSON."""

import numpy as np
import pytest

from helper import ODD_AFFINES
from plgg.io.placement import Placement, as_rows


def placed(native, to_atlas):
    return Placement(
        native_shape=(30, 40, 50),
        native_affine=as_rows(native),
        box_shape=(20, 20, 20),
        box_affine=as_rows(
            np.array([[-2.0, 0, 0, -30], [0, -2, 0, 200], [0, 0, 2, 9], [0, 0, 0, 1]])
        ),
        native_to_atlas=as_rows(to_atlas),
        method="test",
    )


@pytest.mark.parametrize("name", ODD_AFFINES)
def test_both_ways_are_inverse_and_agree_on_the_world(name):
    to_atlas = ODD_AFFINES["oblique"] @ np.diag([0.2, 0.19, 0.21, 1.0])
    placement = placed(ODD_AFFINES[name], to_atlas)
    there, back = placement.box_from_native(), placement.native_from_box()
    np.testing.assert_allclose(there @ back, np.eye(4), atol=1e-9)
    np.testing.assert_allclose(
        np.array(placement.box_affine) @ there, to_atlas @ ODD_AFFINES[name], atol=1e-9
    )


def test_json_keeps_every_bit():
    third = np.eye(4) / 3.0 + np.pi * 1e-7
    placement = placed(third, third.T)
    assert Placement.model_validate_json(placement.model_dump_json()) == placement
