"""Against an earlier prediction, and the volume's interval that says whether it matters."""

import math
from datetime import date
from pathlib import Path

import pytest
from measured import make_diameters, make_interval, make_result

from plgg.core.errors import InputError
from plgg.core.files import write_json
from plgg.data.calibration import VolumeRule
from plgg.data.result import Input
from plgg.measure.change import change, read_prior
from plgg.measure.uncertainty import volume_interval

FOLDER = Path("before")
THEN = Input(path="P01_then.nii.gz", kind="nifti", sha256="cd" * 32)


def compared(now, prior):
    """Of two scans, unless told."""
    return change(now, prior.model_copy(update={"input": THEN}), FOLDER)


def test_growth_is_told_in_ml_and_in_percent():
    now = make_result(
        volume_ml=30.0,
        volume_interval=make_interval(24.0, 37.5),
        diameters=make_diameters(largest_mm=50.0),
    )
    found = compared(now, make_result())
    assert (found.prior, found.volume_ml) == ("before", 20.0)
    assert (found.difference_ml, found.percent, found.product_percent) == (10.0, 50.0, 25.0)
    assert found.beyond_error is False


@pytest.mark.parametrize(
    ("interval", "beyond"),
    [((26.0, 40.0), True), ((25.0, 40.0), False), ((8.0, 15.9), True), ((17.0, 18.0), False)],
)
def test_a_change_is_beyond_error_where_the_intervals_are_disjoint(interval, beyond):
    now = make_result(volume_interval=make_interval(*interval))
    assert compared(now, make_result()).beyond_error is beyond
    assert compared(make_result(), now).beyond_error is beyond


def test_nothing_then_has_no_percent():
    nothing = make_result(volume_ml=0.0, volume_interval=None, diameters=None, components=())
    found = compared(make_result(), nothing)
    assert found.difference_ml == 20.0
    assert (found.percent, found.product_percent, found.beyond_error) == (None, None, None)


def test_products_of_two_planes_are_not_compared():
    now = make_result(diameters=make_diameters(plane="sagittal"))
    assert compared(now, make_result()).product_percent is None


def test_the_prediction_of_another_patient_is_refused():
    with pytest.raises(InputError, match="before: is a prediction of patient P02, the scan"):
        compared(make_result(), make_result(patient_id="P02"))


@pytest.mark.parametrize(
    ("then", "now", "fault"),
    [
        ({"sex": "M"}, {"sex": "F"}, "of another sex"),
        ({"age_years": 12.0}, {"age_years": 8.0}, "age does not fit the dates"),
        ({"scan_date": date(2024, 5, 1)}, {}, r"later scan \(2024-05-01\) than P01_a \(2024-04-01"),
    ],
)
def test_a_prior_that_is_none_is_refused_by_what_is_known(then, now, fault):
    at = {"patient_id": None, "scan_date": date(2024, 1, 1)}
    prior = make_result(**at | then)
    with pytest.raises(InputError, match=fault):
        compared(make_result(scan_date=date(2024, 4, 1), **now), prior)


def test_one_sex_in_two_words_is_no_contradiction():
    assert compared(make_result(sex="F"), make_result(sex="female")).percent == 0.0


def test_the_same_scan_is_no_prior():
    with pytest.raises(InputError, match="of the same scan as P01_a"):
        change(make_result(), make_result(), FOLDER)


@pytest.mark.parametrize("unknown", [None, ""])
def test_a_patient_that_is_not_known_is_let_pass(unknown):
    assert compared(make_result(), make_result(patient_id=unknown)).percent == 0.0
    assert compared(make_result(patient_id=unknown), make_result()).percent == 0.0


def test_a_prior_is_read_as_it_was_written(tmp_path):
    write_json(tmp_path / "result.json", make_result().model_dump(mode="json"))
    assert read_prior(tmp_path) == make_result()


@pytest.mark.parametrize("text", [None, "{", '{"format": "plgg-result", "version": 1}', "[]"])
def test_a_folder_that_is_no_prediction_is_refused_in_one_line(tmp_path, text):
    if text is not None:
        (tmp_path / "result.json").write_text(text)
    with pytest.raises(InputError, match=r"is (no prediction|not a result)") as caught:
        read_prior(tmp_path)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("volume_ml", [-5.0, 1e308])
def test_a_volume_that_cannot_be_is_no_prior(tmp_path, volume_ml):
    record = make_result().model_dump(mode="json") | {"volume_ml": volume_ml}
    write_json(tmp_path / "result.json", record)
    with pytest.raises(InputError, match="volume_ml"):
        read_prior(tmp_path)


def test_the_interval_spans_the_same_ratio_both_ways():
    rule = VolumeRule(log_ratio=math.log(1.25), level=0.9, n=13)
    found = volume_interval(20.0, rule)
    assert (found.low_ml, found.high_ml) == (16.0, 25.0)
    assert (found.level, found.n_patients) == (0.9, 13)


def test_there_is_no_interval_without_a_rule_or_without_a_tumour():
    assert volume_interval(20.0, None) is None
    assert volume_interval(0.0, VolumeRule(log_ratio=0.2, level=0.9, n=13)) is None
