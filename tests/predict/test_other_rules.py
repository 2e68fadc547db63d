import numpy as np
import pytest
from scipy.special import softmax

from plgg.measure.clinical import CLINICAL_INPUTS, clinical_probabilities
from plgg.predict.calibrate.clinical import fit_clinical
from plgg.predict.calibrate.marker_rule import fit_marker
from plgg.predict.calibrate.volume_rule import fit_volume

ABC = ("a", "b", "c")


def names(n):
    return [f"P{index:03d}" for index in range(n)]


def volumes(rng, patients, scans=1, spread=0.4):
    """True volumes, predicted ones and names; scans of a patient err alike."""
    true = rng.lognormal(3, 1, patients * scans)
    common = np.repeat(rng.normal(0, spread, patients), scans)
    error = common + rng.normal(0, spread / 4, patients * scans)
    return true, true * np.exp(error), np.repeat(names(patients), scans)


@pytest.mark.parametrize(("patients", "scans"), [(9, 1), (13, 1), (12, 3), (30, 1)])
def test_the_interval_holds_for_new_patients_as_often_as_it_says(patients, scans):
    rng = np.random.default_rng(1)
    held = []
    for _ in range(1500):
        true, predicted, who = volumes(rng, patients + 1, scans)
        rule = fit_volume(true[:-scans], predicted[:-scans], who[:-scans])
        held.append(abs(np.log(true[-1] / predicted[-1])) <= rule.log_ratio)
    # Two standard errors of 1500 trials are 0.016; above, only the steps of small n add.
    assert 0.884 <= np.mean(held) <= 0.9 + 1 / (patients + 1) + 0.016


def test_the_interval_is_the_error_of_a_known_rank():
    predicted = np.exp(np.arange(1, 20) / 10)
    rule = fit_volume(np.ones(19), predicted, names(19))
    # Of 20 patients, the new one among them, 18 are 90 %.
    assert (rule.log_ratio, rule.level, rule.n) == (pytest.approx(1.8), 0.9, 19)


def test_nine_patients_are_needed_and_scans_of_one_are_no_more():
    rng = np.random.default_rng(0)
    assert fit_volume(*volumes(rng, 8)) is None
    assert fit_volume(*volumes(rng, 9)).n == 9
    assert fit_volume(*volumes(rng, 3, scans=6)) is None
    assert fit_volume(*volumes(rng, 0)) is None


def test_a_volume_of_0_is_an_infinite_error():
    true, predicted, who = volumes(np.random.default_rng(0), 20)
    predicted[4] = 0
    assert np.isfinite(fit_volume(true, predicted, who).log_ratio)
    true[5:7] = 0
    assert fit_volume(true, predicted, who) is None


def test_two_empty_volumes_are_an_infinite_error_too():
    assert fit_volume(np.zeros(12), np.zeros(12), names(12)) is None


def answers(n, seed=0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (n, 3))
    truth = (rng.random((n, 1)) > softmax(logits, axis=1).cumsum(axis=1)).sum(axis=1)
    return softmax(3 * logits, axis=1), truth


def test_the_marker_rule_says_what_it_did():
    chances, truth = answers(4000)
    rule = fit_marker(chances, truth, target_risk=0.1)
    assert rule.temperature == pytest.approx(3, rel=0.05)
    assert rule.ece_after < 0.03 < rule.ece_before
    assert rule.nll_after < rule.nll_before
    assert sum(each.n for each in rule.bins_before) == rule.n == 4000
    assert sum(each.n for each in rule.bins_after) == 4000
    # One point among them is the chosen one; whoever answers more errs more.
    assert rule.risk <= 0.1
    wider = [point for point in rule.curve if point.coverage > rule.coverage]
    assert min(point.risk for point in wider) > 0.1
    assert rule.answer_from < min(point.threshold for point in rule.curve[:10])


def test_where_no_confidence_keeps_the_risk_nothing_is_answered():
    chances = np.tile([0.6, 0.3, 0.1], (8, 1))
    rule = fit_marker(chances, np.full(8, 2), target_risk=0.2)
    assert (rule.answer_from, rule.coverage, rule.risk) == (None, 0.0, None)


def test_a_class_that_no_validation_patient_has_is_no_hindrance():
    chances, truth = answers(40)
    kept = truth != 2
    rule = fit_marker(chances[kept], truth[kept], target_risk=0.5)
    assert rule.n == kept.sum()


def test_fewer_than_five_scans_teach_no_marker_rule():
    chances, truth = answers(5)
    assert fit_marker(chances, truth, target_risk=0.2).n == 5
    assert fit_marker(chances[:4], truth[:4], target_risk=0.2) is None
    assert fit_marker(np.zeros(0), np.zeros(0, dtype=int), target_risk=0.2) is None


def patients(n, n_classes=3, seed=0):
    """Inputs of which only age and height tell the class."""
    rng = np.random.default_rng(seed)
    truth = np.arange(n) % n_classes
    rows = rng.normal(0, 1, (n, 6))
    rows[:, 0] = 10 + 8 * truth + rng.normal(0, 3, n)
    rows[:, 4] = 40 * (truth == 1) + rng.normal(0, 15, n)
    rows[:, 1] = rng.integers(0, 2, n)
    return rows, truth


@pytest.mark.parametrize("classes", [ABC, ("z", "y")])
def test_the_baseline_is_scikit_learns_own(classes):
    from sklearn.linear_model import LogisticRegression

    rows, truth = patients(60, len(classes))
    model = fit_clinical(rows, truth, classes)
    assert (model.classes, model.inputs, model.n) == (classes, CLINICAL_INPUTS, 60)
    x = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    expected = LogisticRegression(C=0.1).fit(x, truth).predict_proba(x)
    found = [list(clinical_probabilities(model, row).values()) for row in rows]
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert (np.argmax(found, axis=1) == truth).mean() > 0.7


def test_unknown_inputs_do_not_hinder_and_a_column_never_known_says_nothing():
    rows, truth = patients(60)
    rows[::7, 0] = np.nan
    rows[:, 2] = np.nan
    rows[:, 1] = 1
    model = fit_clinical(rows, truth, ABC)
    assert np.allclose(np.array(model.coefficients)[:, [1, 2]], 0)
    strange = rows[1].copy()
    strange[[1, 2]] = (0, 80)
    assert clinical_probabilities(model, strange) == clinical_probabilities(model, rows[1])


def test_too_few_scans_teach_no_baseline():
    rows, truth = patients(30)
    assert fit_clinical(rows[:9], truth[:9], ABC) is None
    assert fit_clinical(rows[:10], truth[:10], ABC) is not None
    rare = np.where(np.arange(30) == 4, 2, np.arange(30) % 2)
    assert fit_clinical(rows, rare, ABC) is None
    assert fit_clinical(rows, truth * 0, ("a",)) is None
