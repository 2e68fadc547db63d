import numpy as np
import pytest

from plgg.data.atlas.grid import BRAIN_CENTRE_MM
from plgg.data.calibration import ClinicalModel
from plgg.measure.clinical import (
    CLINICAL_INPUTS,
    clinical_inputs,
    clinical_probabilities,
    inputs_without_mask,
)

SPACING_MM = 4.0


def box_affine():
    """Voxel (10, 10, 10) lies at the centre of the atlas' brain; axes run as the atlas' do."""
    affine = np.diag([-SPACING_MM, -SPACING_MM, SPACING_MM, 1.0])
    affine[:3, 3] = BRAIN_CENTRE_MM - affine[:3, :3] @ np.full(3, 10.0)
    return affine


def inputs(*voxels, age_years=7.0, sex="F"):
    mask = np.zeros((20, 20, 20), dtype=np.uint8)
    for voxel in voxels:
        mask[voxel] = 1
    return clinical_inputs(mask, box_affine(), age_years=age_years, sex=sex)


def model(**changes):
    names = {
        "classes": ("b", "a"),
        "inputs": CLINICAL_INPUTS,
        "means": (10.0, 0.5, 30.0, 0.0, 0.0, 2.0),
        "scales": (5.0, 0.5, 10.0, 20.0, 20.0, 1.0),
        "coefficients": ((1.0, 0.0, 0.0, 0.0, 0.0, 0.0), (-1.0, 0.0, 0.0, 0.0, 0.0, 0.0)),
        "intercepts": (0.5, 0.0),
        "n": 30,
    }
    return ClinicalModel(**names | changes)


def test_place_is_in_mm_from_the_brains_centre_and_volume_in_ml():
    # Array axes run left, back and up.
    found = inputs((12, 7, 13), (12, 7, 15))
    np.testing.assert_allclose(found[:5], [7, 0, 8, 12, 16])
    assert found[5] == pytest.approx(np.log(2 * 0.064))


def test_left_and_right_are_alike():
    np.testing.assert_allclose(inputs((5, 9, 9)), inputs((15, 9, 9)))


@pytest.mark.parametrize(
    ("word", "male"), [("M", 1), ("male", 1), (" m", 1), ("F", 0), ("Female", 0)]
)
def test_sex_is_read_by_its_first_letter(word, male):
    assert inputs(sex=word)[1] == male


@pytest.mark.parametrize("word", [None, "", "O", "unknown"])
def test_any_other_word_is_unknown(word):
    assert np.isnan(inputs(sex=word)[1])


def test_an_empty_mask_has_neither_place_nor_volume():
    assert np.isnan(inputs()[2:]).all()
    np.testing.assert_array_equal(inputs(), inputs_without_mask(age_years=7.0, sex="F"))
    assert np.isnan(inputs_without_mask(age_years=None, sex=None)).all()


def test_the_probabilities_are_what_a_pencil_gives_in_the_models_order():
    # Age 15 is one standard deviation above: logits 1.5 and -1.
    found = clinical_probabilities(model(), inputs(age_years=15.0))
    assert list(found) == ["b", "a"]
    assert found["b"] == pytest.approx(1 / (1 + np.exp(-2.5)))
    assert sum(found.values()) == pytest.approx(1)


def test_what_is_unknown_counts_as_the_mean():
    unknown = clinical_probabilities(model(), inputs_without_mask(age_years=None, sex=None))
    assert unknown["b"] == pytest.approx(1 / (1 + np.exp(-0.5)))
    assert unknown == pytest.approx(clinical_probabilities(model(), inputs(age_years=10.0)))
