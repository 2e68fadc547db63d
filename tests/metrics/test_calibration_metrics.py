import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from plgg.data.calibration import Bin, RiskPoint
from plgg.metrics.calibration import (
    apply_temperature,
    calibration_error,
    confidence_and_hits,
    fit_temperature,
    log_probabilities,
    negative_log_likelihood,
    reliability_bins,
    risk_coverage,
    threshold_for_risk,
)


def answers(n, *, classes=3, seed=0, sharpness=1.5):
    """Logits that are exactly right, and truths drawn from them."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, sharpness, (n, classes))
    probabilities = softmax(logits, axis=1).cumsum(axis=1)
    return logits, (rng.random((n, 1)) > probabilities).sum(axis=1)


def test_the_calibration_error_is_what_a_pencil_gives():
    confidence = np.array([0.62, 0.68, 0.95, 1.0])
    hits = np.array([1.0, 0.0, 1.0, 1.0])
    bins = reliability_bins(confidence, hits)
    assert [each.n for each in bins] == [2, 2]
    assert (bins[0].confidence, bins[0].accuracy) == (pytest.approx(0.65), 0.5)
    # |0.5 - 0.65| and |1 - 0.975|, each of two of four scans.
    assert calibration_error(bins) == pytest.approx(0.5 * 0.15 + 0.5 * 0.025)


def test_a_bin_holds_its_lower_edge_and_the_last_one_holds_1():
    bins = reliability_bins(np.array([0.5, 1.0]), np.array([1.0, 1.0]), n_bins=2)
    assert bins == (Bin(confidence=0.75, accuracy=1.0, n=2),)


def test_the_likelihood_is_what_a_pencil_gives_and_never_infinite():
    probabilities = np.array([[0.5, 0.5], [0.25, 0.75]])
    assert negative_log_likelihood(probabilities, np.array([0, 0])) == pytest.approx(np.log(8) / 2)
    assert negative_log_likelihood(np.array([[0.0, 1.0]]), np.array([0])) < 30


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_logits_that_were_multiplied_are_divided_again(factor):
    logits, truth = answers(8000)
    assert fit_temperature(factor * logits, truth) == pytest.approx(factor, rel=0.05)


def test_temperature_mends_the_calibration_error():
    logits, truth = answers(8000)
    raw = softmax(3 * logits, axis=1)
    mended = apply_temperature(raw, fit_temperature(log_probabilities(raw), truth))
    before, after = (
        calibration_error(reliability_bins(*confidence_and_hits(each, truth)))
        for each in (raw, mended)
    )
    assert before > 0.1
    assert after < 0.02


def test_a_dozen_right_answers_do_not_make_it_certain_nor_a_dozen_wrong_ones_ignorant():
    unsure = np.tile([2.0, 1.0, 0.0], (12, 1))
    sure = np.tile([8.0, 1.0, 0.0], (12, 1))
    right, wrong = np.zeros(12, dtype=int), np.full(12, 2)
    assert 0.25 < fit_temperature(unsure, right) < 1
    # They were sure and right: there is nothing to learn.
    assert 0.5 < fit_temperature(sure, right) <= 1
    assert fit_temperature(sure, wrong) == pytest.approx(10, rel=1e-4)


def test_the_one_patient_more_weighs_as_one():
    """One scan, named rightly: the temperature is where the two of them balance."""
    logits = np.log([[0.75, 0.25]])
    # Of both, 1.75 of 2 are of the first class: log 7 = log 3 / T.
    assert fit_temperature(logits, np.array([0])) == pytest.approx(np.log(3) / np.log(7), rel=1e-4)


def test_answers_that_say_nothing_keep_their_temperature():
    assert fit_temperature(np.zeros((5, 3)), np.array([0, 1, 2, 0, 1])) == 1.0


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 20), st.integers(2, 5), st.integers(0, 10_000), st.floats(0.1, 20.0))
def test_the_fit_never_makes_the_likelihood_worse(n, classes, seed, sharpness):
    rng = np.random.default_rng(seed)
    probabilities = softmax(rng.normal(0, sharpness, (n, classes)), axis=1)
    truth = rng.integers(0, classes, n)
    temperature = fit_temperature(log_probabilities(probabilities), truth)
    assert 0.25 <= temperature <= 10
    mended = apply_temperature(probabilities, temperature)
    before = negative_log_likelihood(probabilities, truth)
    assert negative_log_likelihood(mended, truth) <= before + 1e-6


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.25, 10.0), st.floats(0.25, 10.0))
def test_temperatures_multiply_and_keep_the_order(seed, one, other):
    # No answer so sure that it would be cut off at the least probability on the way.
    probabilities = 0.1 + 0.6 * np.random.default_rng(seed).dirichlet(np.ones(4))
    twice = apply_temperature(apply_temperature(probabilities, one), other)
    np.testing.assert_allclose(twice, apply_temperature(probabilities, one * other), atol=1e-6)
    np.testing.assert_allclose(apply_temperature(probabilities, 1.0), probabilities, atol=1e-9)
    assert twice.sum() == pytest.approx(1)
    assert twice.argmax() == probabilities.argmax()


CURVE = (
    RiskPoint(threshold=0.9, coverage=0.25, risk=0.0),
    RiskPoint(threshold=0.8, coverage=0.5, risk=0.5),
    RiskPoint(threshold=0.6, coverage=1.0, risk=0.25),
)


def test_the_risk_coverage_curve_is_what_a_pencil_gives():
    confidence = np.array([0.6, 0.9, 0.6, 0.8])
    assert risk_coverage(confidence, np.array([1.0, 1.0, 1.0, 0.0])) == CURVE


def test_the_widest_point_within_the_risk_is_chosen_also_behind_a_worse_one():
    assert threshold_for_risk(CURVE, 0.25) == CURVE[2]
    assert threshold_for_risk(CURVE, 0.2) == CURVE[0]
    assert threshold_for_risk(CURVE[1:], 0.2) is None
