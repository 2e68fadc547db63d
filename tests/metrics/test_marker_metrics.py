"""Known answers of the marker's scores, and laws of the intervals."""

import numpy as np
import pytest
from sklearn.metrics import (
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    roc_auc_score,
)

from bootstrap import patient_interval
from plgg.evaluate.records import CaseScores
from plgg.evaluate.summary import summarise_markers
from plgg.metrics.classification import balanced_accuracy, macro_auc, macro_f1
from work import calls


def drawn(n=60, classes=3, seed=0):
    random = np.random.default_rng(seed)
    truth = random.integers(classes, size=n)
    scores = random.random((n, classes)) + 0.5 * np.eye(classes)[truth]
    return truth, scores / scores.sum(axis=1, keepdims=True)


def test_auc_of_a_case_counted_by_hand():
    # Of the 2 × 2 pairs of member and other, three are in the right order.
    truth = np.array([1, 1, 0, 0])
    second = np.array([0.9, 0.4, 0.5, 0.1])
    assert macro_auc(truth, np.stack([1 - second, second], axis=1)) == pytest.approx(0.75)


def test_scikit_learn_agrees():
    truth, probabilities = drawn()
    assert macro_auc(truth, probabilities) == pytest.approx(
        roc_auc_score(truth, probabilities, multi_class="ovr", average="macro")
    )
    named = probabilities.argmax(axis=1)
    assert macro_f1(truth, named, 3) == pytest.approx(f1_score(truth, named, average="macro"))
    expected = pytest.approx(balanced_accuracy_score(truth, named))
    assert balanced_accuracy(truth, named, 3) == expected
    found = summary_of(truth, probabilities)
    assert found.balanced_accuracy.value == expected
    assert found.accuracy.value == pytest.approx((truth == named).mean())
    assert found.confusion == tuple(map(tuple, confusion_matrix(truth, named).tolist()))


def test_order_alone_matters_to_the_auc():
    truth, probabilities = drawn()
    assert macro_auc(truth, probabilities**3) == pytest.approx(macro_auc(truth, probabilities))


def test_one_answer_for_all_is_chance():
    truth, _ = drawn()
    assert macro_auc(truth, np.full((60, 3), 1 / 3)) == pytest.approx(0.5)


def test_a_class_without_cases_is_left_out():
    truth, probabilities = drawn(classes=2)
    wider = np.concatenate([probabilities, np.zeros((60, 1))], axis=1)
    assert macro_auc(truth, wider) == pytest.approx(macro_auc(truth, probabilities))
    assert macro_auc(np.zeros(5, dtype=int), np.ones((5, 2)) / 2) is None


def summary_of(truth, probabilities):
    """The summary of scans of a patient each."""
    names = "abc"[: probabilities.shape[1]]
    unknown = dict.fromkeys(("site", "age_years", "sex"))
    rows = [
        CaseScores(
            case_id=f"c{n}",
            patient_id=f"p{n}",
            marker=names[true],
            probabilities=dict(zip(names, p, strict=True)),
            **unknown,
        )
        for n, (true, p) in enumerate(zip(truth, probabilities.tolist(), strict=True))
    ]
    return summarise_markers(rows, np.random.default_rng(0))


def test_certainty_has_brier_0_or_2():
    truth = np.array([0, 1, 2])
    assert summary_of(truth, np.eye(3)).brier.value == 0.0
    wrong = summary_of(truth, np.eye(3)[[1, 2, 0]])
    assert wrong.brier.value == 2.0
    assert wrong.accuracy.value == wrong.balanced_accuracy.value == wrong.f1.value == 0.0
    assert wrong.confusion == ((0, 1, 0), (0, 0, 1), (1, 0, 0))


def test_nothing_known_is_undefined():
    assert summary_of(np.zeros(0, dtype=int), np.zeros((0, 3))) is None


def interval(values, patients, seed=0):
    values = np.asarray(values, dtype=float)
    rng = np.random.default_rng(seed)
    return patient_interval(lambda i: float(values[i].mean()), patients, rng)


def test_interval_holds_the_mean_and_follows_the_seed():
    values = np.random.default_rng(1).normal(size=40)
    found = interval(values, range(40))
    assert found.low < values.mean() < found.high
    assert found == interval(values, range(40))
    # The standard error of a mean, by theory.
    assert found.high - found.low == pytest.approx(
        2 * 1.96 * values.std(ddof=1) / np.sqrt(40), rel=0.15
    )


def test_scans_of_one_patient_are_not_independent():
    values = np.random.default_rng(2).normal(size=20)
    alone = interval(np.repeat(values, 4), range(80))
    grouped = interval(np.repeat(values, 4), np.repeat(np.arange(20), 4).tolist())
    assert grouped.high - grouped.low > 1.6 * (alone.high - alone.low)


def test_one_patient_has_no_interval():
    found = interval([0.5, 0.7], ["p", "p"])
    assert (found.value, found.low, found.n) == (pytest.approx(0.6), None, 2)


def test_scans_of_one_patient_weigh_as_one_draw():
    # Two patients: a resample holds both, or one of them twice, and each draw brings all its scans.
    found = set()

    def keep(index):
        found.add(tuple(sorted(index.tolist())))
        return 0.0

    patient_interval(keep, ["p", "q", "p"], np.random.default_rng(0), n_resamples=50)
    assert found == {(0, 1, 2), (0, 0, 2, 2), (1, 1)}


def test_resamples_without_a_class_are_counted_and_left_out():
    truth, probabilities = np.array([0, 1]), np.eye(2)
    found = patient_interval(
        lambda i: macro_auc(truth[i], probabilities[i]), ["p", "q"], np.random.default_rng(0)
    )
    # Half of the draws of two patients hold one of them twice.
    assert found.n_undefined == pytest.approx(1000, abs=100)
    few = patient_interval(
        lambda i: 1.0 if len(set(i.tolist())) == 3 else None, "pqr", np.random.default_rng(0)
    )
    assert (few.value, few.low, few.high) == (1.0, None, None)


def test_the_work_of_an_auc_does_not_grow_with_the_cohort():
    """A thousand resamples of a whole cohort take under a second because nothing loops over it."""

    def work(n, n_resamples=20):
        truth, probabilities = drawn(n=n)
        return calls(
            lambda: patient_interval(
                lambda i: macro_auc(truth[i], probabilities[i]),
                range(n),
                np.random.default_rng(0),
                n_resamples=n_resamples,
            )
        )

    assert work(344) < 1.2 * work(86)
    assert work(86, n_resamples=40) < 2.2 * work(86)
