"""Scans from where the training scans came from are familiar; others are not."""

import numpy as np
import pytest
from sklearn.covariance import LedoitWolf

from plgg.core.errors import RunError
from plgg.predict.out_of_distribution import distances, familiarity, fit_familiarity

N_FEATURES = 40


def cohort(n, *, seed=0, shift=0.0):
    """Features that hang together, as a network's do, around a centre far from zero."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(6, N_FEATURES))
    noise = 0.3 * rng.normal(size=(n, N_FEATURES))
    return rng.normal(size=(n, 6)) @ mixing + noise + 5.0 + shift


def test_most_new_scans_of_the_same_cohort_are_good_and_strange_ones_are_not():
    known = fit_familiarity(cohort(60), cohort(13, seed=1))
    same = [familiarity([row], [known]).status for row in cohort(40, seed=2)]
    strange = [familiarity([row], [known]).status for row in cohort(40, seed=3, shift=4.0)]
    assert same.count("good") >= 34
    assert same.count("failed") <= 1
    assert strange.count("failed") >= 38


def test_a_distance_does_not_depend_on_the_units_of_the_features():
    references, new = cohort(30), cohort(5, seed=1)
    scale = np.geomspace(1, 100, N_FEATURES)
    near = distances(references, new)
    # The floor under the spread of a feature is the only thing that knows the units.
    np.testing.assert_allclose(distances(references * scale, new * scale), near, rtol=0.2)
    np.testing.assert_allclose(distances(references * 7, new * 7), near, rtol=1e-6)


def test_a_feature_that_never_changed_makes_nothing_infinite():
    references = cohort(30)
    references[:, 0] = 1.0
    assert np.isfinite(distances(references, cohort(5, seed=1))).all()


def test_too_few_training_scans_teach_nothing():
    assert fit_familiarity(cohort(9), cohort(3)) is None
    assert familiarity([cohort(1)[0]], [None]) is None


def test_of_several_networks_the_one_in_the_middle_speaks():
    known = fit_familiarity(cohort(60), cohort(13, seed=1))
    near, far = cohort(1, seed=2)[0], cohort(1, seed=2, shift=9.0)[0]
    assert familiarity([near, near, far], [known] * 3).status != "failed"
    assert familiarity([near, far, far], [known] * 3).status == "failed"


def test_the_verdict_says_where_the_limits_are():
    known = fit_familiarity(cohort(20), np.empty((0, N_FEATURES)))
    verdict = familiarity([cohort(1, seed=5, shift=9.0)[0].astype(np.float32)], [known])
    assert f"{known.failed_above:.2f}" in verdict.limits
    assert verdict.value == pytest.approx(
        distances(np.array(known.references), cohort(1, seed=5, shift=9.0))[0], rel=1e-3
    )


def test_a_calibration_of_another_network_is_one_line():
    known = fit_familiarity(cohort(60), cohort(13, seed=1))
    with pytest.raises(RunError, match="of another network"):
        familiarity([cohort(1)[0][:7]], [known])


@pytest.mark.parametrize(("n", "p"), [(40, 300), (30, 8), (12, 5), (10, 10)])
def test_distances_are_those_of_scikit_learn(n, p):
    rng = np.random.default_rng(n)
    references = rng.normal(size=(n, p)) @ rng.normal(size=(p, p))
    features = rng.normal(size=(6, p)) * 5
    scale = references.std(axis=0) + 1e-3 * references.std()
    centred = (references - references.mean(axis=0)) / scale
    theirs = LedoitWolf().fit(centred).mahalanobis((features - references.mean(axis=0)) / scale)
    assert np.allclose(distances(references, features), np.sqrt(theirs), rtol=1e-8)
