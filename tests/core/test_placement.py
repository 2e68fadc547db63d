"""Where a box lies: inverse maps, exact JSON."""

import numpy as np
import pytest
from pydantic import ValidationError

from helper import ODD_AFFINES
from plgg.core.placement import Placement, as_rows


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
    third[3] = 0, 0, 0, 1
    other = third.copy()
    other[:3, :3] = third[:3, :3].T
    placement = placed(third, other)
    assert Placement.model_validate_json(placement.model_dump_json()) == placement


SOUND = ((1.0, 0.0, 0.0, 5.0), (0.0, 1.0, 0.0, 5.0), (0.0, 0.0, 1.0, 5.0), (0.0, 0.0, 0.0, 1.0))
NAN = float("nan")


@pytest.mark.parametrize("field", ["native_affine", "box_affine", "native_to_atlas"])
@pytest.mark.parametrize(
    "rows",
    [
        (),
        SOUND[:3],
        tuple(row[:3] for row in SOUND),
        (*SOUND[:3], (0.0, 0.0, 1.0, 1.0)),
        (SOUND[0], SOUND[0], SOUND[2], SOUND[3]),
        (SOUND[0], (0.0, NAN, 0.0, 0.0), SOUND[2], SOUND[3]),
        tuple(tuple(1e-5 * value for value in row) for row in SOUND[:3]) + SOUND[3:],
    ],
)
def test_a_map_without_an_inverse_is_refused(field, rows):
    record = placed(np.eye(4), np.eye(4)).model_dump(mode="json")
    with pytest.raises(ValidationError):
        Placement.model_validate(record | {field: rows})


@pytest.mark.parametrize("shape", [(0, 1, 1), (-1, 1, 1), (1, 1), (10**5, 1, 1), (9999, 9999, 99)])
def test_a_grid_that_no_scan_has_is_refused(shape):
    record = placed(np.eye(4), np.eye(4)).model_dump(mode="json")
    for field in ("native_shape", "box_shape"):
        with pytest.raises(ValidationError):
            Placement.model_validate(record | {field: shape})
