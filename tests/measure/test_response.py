"""Response categories at their thresholds, and what bears them out."""

import pytest

from plgg.measure.response import TumourSize, assess, best_response


def categories(*products, days=None, measurable=True):
    sizes = [
        TumourSize(product, measurable, None if days is None else days[n])
        for n, product in enumerate(products)
    ]
    return assess(sizes)


@pytest.mark.parametrize(
    ("product", "response"),
    [
        (0.0, "CR"),
        (0.001, "PR"),
        (500.0, "PR"),
        (500.001, "MR"),
        (750.0, "MR"),
        (750.001, "SD"),
        (1000.0, "SD"),
        (1249.999, "SD"),
        (1250.0, "PD"),
    ],
)
def test_each_category_begins_at_its_threshold(product, response):
    first, second = categories(1000.0, product)
    assert (first.response, second.response) == ("baseline", response)
    assert second.baseline_percent == pytest.approx((product - 1000) / 10)


@pytest.mark.parametrize(("product", "response"), [(499.999, "PR"), (500.0, "PD")])
def test_progression_is_held_to_the_smallest_and_goes_before_a_response(product, response):
    last = categories(1000.0, 400.0, product)[-1]
    assert last.response == response
    assert last.baseline_percent < -50 + 1e-3
    assert last.nadir_percent == pytest.approx((product - 400) / 4, abs=1e-4)


def test_progression_without_a_response_is_held_to_the_first():
    assert [one.response for one in categories(1000.0, 1100.0, 1250.0)] == ["baseline", "SD", "PD"]


def test_tumour_that_is_there_again_is_progression():
    last = categories(1000.0, 0.0, 5.0)[-1]
    assert (last.response, last.nadir_percent) == ("PD", None)
    assert "again" in last.statement


@pytest.mark.parametrize(
    ("products", "measurable", "reason"),
    [
        ((1000.0, None), True, "another plane"),
        ((None, 1000.0), True, "another plane"),
        ((0.0, 1000.0), True, "no tumour was found on the first scan"),
        ((90.0, 10.0), False, "below 10 mm"),
    ],
)
def test_what_cannot_be_held_to_the_first_is_not_evaluable(products, measurable, reason):
    last = categories(*products, measurable=measurable)[-1]
    assert (last.response, last.baseline_percent, last.is_confirmed) == ("NE", None, None)
    assert reason in last.statement


@pytest.mark.parametrize(
    ("products", "days", "confirmed", "words"),
    [
        ((1000, 400), (0, 90), False, "unconfirmed: one scan"),
        ((1000, 400, 400), (0, 90, 145), False, "sustained for 55 days"),
        ((1000, 400, 400), (0, 90, 146), True, "confirmed after 56 days"),
        ((1000, 400, 600, 400), (0, 90, 110, 200), False, "does not bear it out"),
        ((1000, 600, 450), (0, 90, 200), True, "confirmed after 110 days"),
        ((1000, 400, None, 400), (0, 90, 120, 200), True, "confirmed after 110 days"),
        ((1000, 400, 400), None, None, "not known"),
        ((1000, 1300), (0, 90), False, "unconfirmed: one scan"),
        ((1000, 1300, 1400), (0, 90, 100), True, "confirmed by the next scan"),
        ((1000, 1300, 1100), (0, 90, 100), False, "does not show it"),
        ((1000, 900, 900), (0, 90, 200), None, ""),
    ],
)
def test_a_response_is_confirmed_by_eight_weeks_that_bear_it_out(products, days, confirmed, words):
    second = categories(*products, days=days)[1]
    assert second.is_confirmed is confirmed
    assert words in second.confirmation
    assert bool(second.confirmation) is bool(words)


def test_the_best_response_and_the_best_that_is_confirmed():
    found = categories(1000.0, 700.0, 690.0, 400.0, days=(0, 60, 130, 200))
    assert best_response(found) == "PR"
    assert best_response(found, confirmed=True) == "MR"
    assert best_response(categories(1000.0)) is None
    assert best_response(categories(1000.0, 1300.0)) == "PD"
    assert best_response(categories(1000.0, 1300.0), confirmed=True) is None
