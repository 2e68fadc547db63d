"""Age and sex as numbers: what is unknown is told apart from what is 0."""

import numpy as np
import pytest

from plgg.io.patient import PATIENT_INPUTS, patient_inputs


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
