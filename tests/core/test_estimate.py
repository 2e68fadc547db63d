"""An estimate: its ends, and what a rising function makes of it."""

import math

import pytest

from plgg.core.estimate import Estimate
from plgg.evaluate.records import Limits


def test_ends_are_both_or_none():
    assert Estimate(1.0, 0.5, 2.0).ends == (0.5, 2.0)
    assert Estimate(1.0, 0.5).ends is None
    assert Estimate().ends is None


def test_a_rising_function_moves_number_and_ends():
    found = Estimate(0.0, -1.0, None, n=4, method="t").mapped(math.exp)
    assert (found.value, found.low, found.high) == (1.0, pytest.approx(math.exp(-1)), None)
    assert (found.n, found.method) == (4, "t")


def test_it_is_written_under_the_names_of_summary_json_and_read_again():
    written = {"value": 1.0, "ci_low": 0.5, "ci_high": 2.0, "n_undefined": 3}
    record = {"n": 5, "bias": written, "sd": 1.0, "lower": written, "upper": {}, "slope": None}
    limits = Limits.model_validate(record)
    assert limits.bias == Estimate(1.0, 0.5, 2.0, n_undefined=3)
    dumped = limits.model_dump(mode="json")
    assert dumped["bias"] == written
    assert set(dumped["upper"]) == set(written)
    assert Limits.model_validate(dumped) == limits
    for wrong in ({"value": math.nan}, {"mean": 1.0}, 3.0):
        with pytest.raises(ValueError, match="bias"):
            Limits.model_validate(record | {"bias": wrong})
