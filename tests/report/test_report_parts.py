"""Parts of the page with known answers: numbers, the choice of cases, outlines, confusion."""

import math

import numpy as np
import pytest

from plgg.evaluate.experiment_records import read_experiment
from plgg.metrics.overlap import hard_dice
from plgg.report.experiment.examples import choose, load_views, scan_figure
from plgg.report.experiment.markers import class_list, confusion, probabilities
from plgg.report.numbers import duration, interval, listed, number, signed, spread, typographic


@pytest.fixture(scope="module")
def experiment(finished):
    return read_experiment(finished)


@pytest.mark.parametrize(
    ("value", "plain", "with_sign"),
    [
        (0.12345, "0.123", "+0.123"),
        (-0.5, "−0.500", "−0.500"),
        (-0.0001, "0.000", "0.000"),
        (0.0, "0.000", "0.000"),
        (None, "–", "–"),
        (math.nan, "–", "–"),
        (math.inf, "–", "–"),
    ],
)
def test_numbers_have_true_signs(value, plain, with_sign):
    assert number(value) == plain
    assert signed(value) == with_sign


def test_intervals_and_spreads():
    assert interval(-0.1, 0.25, with_sign=True) == "−0.100 to +0.250"
    assert interval(None, 0.25) == "–"
    assert spread(0.8, 0.01) == "0.800 ± 0.010"
    assert spread(0.8, None) == "0.800"


def test_clock_and_lists():
    assert [duration(s) for s in (4.2, 65, 3725, None)] == ["4 s", "1 min 05 s", "1 h 02 min", "–"]
    assert listed(["a", "b", "c"], at_most=2) == "a, b and 1 more"
    assert typographic("Δ = -0.1, p-2, T-1, (-3)") == "Δ = −0.1, p-2, T-1, (−3)"


@pytest.mark.parametrize(("n", "places"), [(0, []), (1, [0]), (2, [1, 0]), (5, [4, 2, 0])])
def test_best_median_and_worst(experiment, n, places):
    unique = {case.case_id: (run, case) for run, case in experiment.tested("single")}
    ascending = sorted(unique.values(), key=lambda pair: pair[1].dice)[:n]
    chosen = choose(ascending)
    assert [(run, case) for _, run, case in chosen] == [ascending[place] for place in places]


def test_no_scan_is_shown_twice(experiment):
    run, case = next(experiment.tested("single"))
    assert [rank for rank, _, _ in choose([(run, case)] * 6)] == ["Best"]


def test_a_prediction_lies_on_its_tumour_in_the_picture(store, experiment):
    run, case = max(experiment.tested("multitask"), key=lambda pair: pair[1].dice)
    path = run.folder / "predictions" / "test" / case.case_id / "mask.nii.gz"
    views = load_views(store, case.case_id, path)
    # The native grid is turned, flipped and coarser: equal up to what resampling costs.
    assert hard_dice(views.prediction, views.truth) == pytest.approx(case.dice, abs=0.12)
    truth = load_views(store, case.case_id, store.truth_path(case.case_id))
    assert hard_dice(truth.prediction, truth.truth) > 0.88


def test_the_picture_shows_three_planes_and_sides(store, experiment):
    run, case = next(experiment.tested("multitask"))
    path = run.folder / "predictions" / "test" / case.case_id / "mask.nii.gz"
    figure = scan_figure(load_views(store, case.case_id, path))
    assert [axes.get_title() for axes in figure.axes] == ["axial", "coronal", "sagittal"]
    sides = [[text.get_text() for text in axes.texts] for axes in figure.axes]
    assert sides == [["R", "L"], ["R", "L"], ["A", "P"]]


def test_confusion_is_the_sum_of_the_splits(experiment):
    counts = confusion(experiment, "multitask")
    by_split = [np.array(e.summary.marker.confusion) for e in experiment.tests("multitask")]
    np.testing.assert_array_equal(counts, sum(by_split))
    assert class_list(experiment, "multitask") == ("BRAF_V600E", "BRAF_fusion", "other")
    assert class_list(experiment, "single") == ()


def test_probabilities_are_one_bar_a_scan_and_sorted(experiment):
    groups = probabilities(experiment, "multitask")
    scans = {case.case_id for _, case in experiment.tested("multitask")}
    assert sum(map(len, groups.values())) == len(scans)
    for name, patients in groups.items():
        own = [p[name] for p in patients]
        assert own == sorted(own, reverse=True)
        assert all(sum(p.values()) == pytest.approx(1.0) for p in patients)
