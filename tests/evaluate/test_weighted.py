"""Weighted statistics and their intervals: a resample's weights say what its scans would say."""

import numpy as np
import pytest

from bootstrap import patient_interval
from plgg.evaluate import statistics
from plgg.evaluate.statistics import N_RESAMPLES, draw, interval
from plgg.metrics.calibration import calibration_error, confidence_and_hits, reliability_bins
from plgg.metrics.classification import balanced_accuracy, class_aucs, macro_auc, macro_f1

N, CLASSES = 23, 3


@pytest.fixture(scope="module")
def scans():
    rng = np.random.default_rng(11)
    truth = rng.choice(CLASSES, size=N, p=(0.6, 0.3, 0.1))
    # Rounded, so that there are ties.
    scores = np.round(rng.dirichlet(np.ones(CLASSES), N), 1) + 0.01
    scores /= scores.sum(axis=1, keepdims=True)
    values = np.round(rng.normal(size=N), 1)
    patients = [f"p{n // 2}" for n in range(N)]
    return truth, scores, values, patients


def ece(truth, scores):
    return calibration_error(reliability_bins(*confidence_and_hits(scores, truth)))


def pairs(truth, scores, values):
    """Each weighted statistic, and the plain one of indices."""
    named = scores.argmax(axis=1)
    confidence, hits = confidence_and_hits(scores, truth)
    square = np.square(values)
    return {
        "mean": (statistics.mean(values), lambda i: values[i].mean()),
        "median": (statistics.median(values), lambda i: np.median(values[i])),
        "ratio": (
            statistics.ratio(square, square + 1),
            lambda i: square[i].sum() / (square[i] + 1).sum(),
        ),
        "auc": (statistics.macro_auc(truth, scores), lambda i: macro_auc(truth[i], scores[i])),
        "class auc": (
            statistics.class_auc(truth, scores, 2),
            lambda i: class_aucs(truth[i], scores[i])[2],
        ),
        "balanced": (
            statistics.balanced_accuracy(truth, named, CLASSES),
            lambda i: balanced_accuracy(truth[i], named[i], CLASSES),
        ),
        "f1": (
            statistics.macro_f1(truth, named, CLASSES),
            lambda i: macro_f1(truth[i], named[i], CLASSES),
        ),
        "ece": (
            statistics.calibration_error(confidence, hits, 10),
            lambda i: ece(truth[i], scores[i]),
        ),
        "difference": (
            statistics.difference(statistics.mean(values), statistics.median(values)),
            lambda i: values[i].mean() - np.median(values[i]),
        ),
    }


def test_a_resample_weighs_what_its_scans_say(scans):
    truth, scores, values, patients = scans
    weights = draw(patients, np.random.default_rng(5))[:60]
    for name, (weighted, plain) in pairs(truth, scores, values).items():
        found = weighted(weights)
        for row, value in zip(weights.astype(int), found, strict=True):
            expected = plain(np.repeat(np.arange(N), row))
            if expected is None:
                assert np.isnan(value), name
            else:
                assert value == pytest.approx(expected), name


def test_scans_of_a_patient_are_drawn_together(scans):
    *_, patients = scans
    weights = draw(patients, np.random.default_rng(0))
    assert weights.shape == (N_RESAMPLES, N)
    for first in range(0, N - 1, 2):
        assert (weights[:, first] == weights[:, first + 1]).all()
    assert (weights[:, ::2].sum(axis=1) == len(set(patients))).all()


def test_intervals_are_those_of_the_bootstrap_one_at_a_time(scans):
    truth, scores, values, patients = scans
    for name, (weighted, plain) in pairs(truth, scores, values).items():
        fast = interval(weighted, patients, np.random.default_rng(1))
        slow = patient_interval(plain, patients, np.random.default_rng(2))
        assert fast.value == pytest.approx(slow.value), name
        width = slow.high - slow.low
        ends = (fast.low, fast.high)
        assert ends == pytest.approx((slow.low, slow.high), abs=0.1 * width), name
        assert fast.n_undefined == pytest.approx(slow.n_undefined, abs=80), name


def test_what_cannot_be_known_has_no_ends():
    rng = np.random.default_rng(0)
    nothing = interval(statistics.mean(np.zeros(0)), [], rng)
    assert (nothing.value, nothing.low) == (None, None)
    one = interval(statistics.mean(np.ones(3)), ["p"] * 3, rng)
    assert (one.value, one.low, one.high) == (1.0, None, None)
    never = interval(statistics.ratio(np.ones(2), np.zeros(2)), ["a", "b"], rng)
    assert (never.value, never.low) == (None, None)
    rare = interval(statistics.ratio(np.eye(4)[0], np.eye(4)[0]), list("abcd"), rng)
    assert (rare.value, rare.low) == (1.0, 1.0)
    assert 400 < rare.n_undefined < 900  # (3/4)⁴ of 2,000
