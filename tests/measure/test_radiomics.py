"""Features of balls whose answers are known, and what they must not depend on."""

import numpy as np
import pytest
from scipy import ndimage

from plgg.data.atlas.grid import BRAIN_CENTRE_MM
from plgg.data.store_arrays import OUTSIDE, encode
from plgg.measure.radiomics import RADIOMICS_INPUTS, SHELLS_MM, radiomics_inputs

SHAPE = (48, 48, 32)
SPACING = np.array([1.5, 1.5, 3.0])
SCALE_FREE = ("mean", "contrast", "elongation", "flatness", "entropy")


def affine(signs=(1, 1, 1), spacing=SPACING):
    """The box's centre lies at the centre of the atlas' brain."""
    found = np.diag([*(np.array(signs) * spacing), 1.0])
    found[:3, 3] = BRAIN_CENTRE_MM - found[:3, :3] @ ((np.array(SHAPE) - 1) / 2)
    return found


def millimetres():
    """From the centre of the box, shape (3, I, J, K)."""
    grid = np.indices(SHAPE) - (np.array(SHAPE).reshape(3, 1, 1, 1) - 1) / 2
    return grid * SPACING.reshape(3, 1, 1, 1)


def ball(radius, at=(12.0, 0.0, 0.0), stretch=(1, 1, 1)):
    offset = (millimetres() - np.reshape(at, (3, 1, 1, 1))) / np.reshape(stretch, (3, 1, 1, 1))
    return np.sqrt((offset**2).sum(axis=0)) <= radius


def scan(tumour, *, bright=2.0, core=None, noise=0.2, seed=0):
    brain = ball(33.0, at=(0, 0, 0))
    image = np.random.default_rng(seed).normal(0.0, noise, SHAPE)
    image[tumour] += bright
    if core is not None:
        image[core] += -bright
    return encode(image, brain)


def features(tumour, codes=None, axes=None, **patient):
    known = {"age_years": 9.0, "sex": "F"} | patient
    codes = scan(tumour) if codes is None else codes
    return radiomics_inputs(codes, tumour, affine() if axes is None else axes, **known)


def test_all_features_are_given_by_name_and_finite():
    found = features(ball(10.0))
    assert set(found) == set(RADIOMICS_INPUTS)
    assert np.isfinite(list(found.values())).all()


def test_a_ball_is_as_it_was_made():
    found = features(ball(12.0))
    assert found["elongation"] > 0.95
    assert found["flatness"] > 0.95
    assert found["parts"] == 0.0
    assert found["largest_part"] == 1.0
    assert found["both_sides"] < 0.05
    assert found["depth_mm"] == pytest.approx(12.0, abs=2.0)
    assert found["mean"] == pytest.approx(2.0, abs=0.1)
    assert found["contrast"] == pytest.approx(2.0, abs=0.1)
    assert found["core_less_rim"] == pytest.approx(0.0, abs=0.1)
    # Its near side lies 21 mm from the brain's surface, its far side 9.
    assert found["least_surface_mm"] == pytest.approx(11.0, abs=4.0)


def test_what_differs_shows_where_it_should():
    plain = features(ball(10.0))
    long = features(ball(8.0, stretch=(2, 1, 1)))
    assert long["elongation"] < 0.7 < plain["elongation"]
    two = features(ball(6.0) | ball(6.0, at=(-12, 0, 0)))
    assert two["parts"] == pytest.approx(np.log(2))
    assert two["largest_part"] == pytest.approx(0.5)
    assert two["both_sides"] == pytest.approx(0.5)
    mismatch = features(ball(12.0), scan(ball(12.0), core=ball(6.0)))
    assert mismatch["core_less_rim"] < -1.0
    assert mismatch["dark_core"] > 0.5 > plain["dark_core"]
    rough = features(ball(10.0), scan(ball(10.0), noise=1.0))
    assert rough["glcm_contrast"] > 2 * plain["glcm_contrast"]
    assert rough["glcm_homogeneity"] < plain["glcm_homogeneity"]
    assert rough["std"] > plain["std"]


def test_what_surrounds_a_tumour_shows_in_the_shell_that_it_lies_in():
    tumour = ball(10.0, at=(0, 0, 0))
    outside_mm = ndimage.distance_transform_edt(~tumour, SPACING)
    plain = features(tumour)
    assert [plain[name] for name in SHELLS_MM] == pytest.approx([0.0] * 4, abs=0.05)
    for name, (nearest, farthest) in SHELLS_MM.items():
        around = (outside_mm > nearest) & (outside_mm <= farthest)
        lit = features(tumour, encode(1.0 * around + 2.0 * tumour, ball(33.0, at=(0, 0, 0))))
        expected = {one: float(one == name) for one in SHELLS_MM}
        assert {one: lit[one] for one in SHELLS_MM} == pytest.approx(expected, abs=0.05)


def test_the_mirror_image_of_a_patient_has_the_same_features():
    tumour = ball(9.0, stretch=(1, 2, 1), at=(14, 3, 2))
    codes = scan(tumour, core=ball(4.0, at=(14, 3, 2)))
    one = features(tumour, codes)
    mirrored = features(tumour[::-1].copy(), codes[::-1].copy())
    assert mirrored == pytest.approx(one, abs=1e-5)


def test_the_order_of_the_axes_in_memory_is_no_feature():
    tumour = ball(9.0, stretch=(1, 2, 1), at=(14, 3, 2))
    codes = scan(tumour)
    turned = features(tumour[::-1, ::-1].copy(), codes[::-1, ::-1].copy(), affine((-1, -1, 1)))
    assert turned == pytest.approx(features(tumour, codes), abs=1e-5)


def test_what_a_tumour_looks_like_does_not_depend_on_how_finely_it_is_sampled():
    tumour = ball(11.0)
    codes = scan(tumour, noise=0.0, core=ball(5.0))
    fine = [
        ndimage.zoom(a, (2, 2, 2), order=0, grid_mode=True, mode="grid-constant")
        for a in (codes, tumour.astype(np.uint8))
    ]
    axes = affine(spacing=SPACING / 2)
    axes[:3, 3] = affine()[:3, 3] - SPACING / 4
    finer = radiomics_inputs(fine[0], fine[1], axes, age_years=9.0, sex="F")
    coarse = features(tumour, codes)
    for name in SCALE_FREE:
        assert finer[name] == pytest.approx(coarse[name], abs=0.25), name
    assert finer["log_volume"] == pytest.approx(coarse["log_volume"], abs=1e-6)


def test_without_a_tumour_only_the_patient_is_known():
    nothing = np.zeros(SHAPE, dtype=bool)
    assert features(nothing) == {"age_years": 9.0, "male": 0.0}
    assert features(nothing, age_years=None, sex=None) == {}
    # A mask outside the brain has no intensities.
    outside = ball(10.0)
    found = features(outside, np.full(SHAPE, OUTSIDE, dtype=np.int8))
    assert "mean" not in found
    assert "log_volume" in found
    # Of one slice, of five voxels in a row, and of a tumour as large as the brain there are some.
    for tumour in (ball(8.0) & (np.indices(SHAPE)[2] == 16), ball(33.0, at=(0, 0, 0))):
        assert np.isfinite(list(features(tumour).values())).all()
    row = np.zeros(SHAPE, dtype=bool)
    row[20:25, 24, 16] = True
    assert np.isfinite(list(features(row).values())).all()
