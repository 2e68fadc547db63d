"""Age and sex as numbers: what is unknown is told apart from what is 0."""

import numpy as np
import pytest

from plgg.core.patient import PATIENT_INPUTS, male, patient_inputs


@pytest.mark.parametrize(
    ("age_years", "sex", "expected"),
    [
        (None, None, (0, 0, 0, 0)),
        (0.0, None, (0, 1, 0, 0)),
        (12.0, "F", (1.2, 1, 0, 1)),
        (7.5, "male", (0.75, 1, 1, 1)),
        (None, "  M ", (0, 0, 1, 1)),
        (3.0, "unknown", (0.3, 1, 0, 0)),
    ],
)
def test_known_answers(age_years, sex, expected):
    found = patient_inputs(age_years, sex)
    assert found.shape == (len(PATIENT_INPUTS),)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize(
    "word",
    ["F", "female ", "w", "weiblich", "Mädchen", "Ma\u0308dchen", "mujer", "Mulher", "meisje"],
)
def test_a_word_for_a_girl_or_woman_is_never_taken_as_male_by_its_first_letter(word):
    assert male(word) == 0.0


@pytest.mark.parametrize("word", ["M", "Male", "m.", "männlich", "hombre", "garçon", "男"])
def test_a_word_for_a_boy_or_man_is_male(word):
    assert male(word) == 1.0


@pytest.mark.parametrize("word", ["", None, "1", "2", "X", "M?", "fraud", "missing", "m/f"])
def test_what_is_no_word_for_a_sex_is_unknown(word):
    assert np.isnan(male(word))
