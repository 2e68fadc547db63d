"""Among the series of a study the FLAIR is chosen by headers, and it is said why."""

import numpy as np
import pytest

from dicom_series import write_series
from helper import make_affine
from plgg.core.errors import InputError
from plgg.core.volume import Volume
from plgg.data.dicom.read import read_dicom

SHAPE = (8, 6, 5)
AFFINE = make_affine((0.9, 0.9, 5.0), axes="LPS", shape=SHAPE)
STUDY = "1.2.826.0.1.1"


def series(folder, number, description, echo_ms=None, inversion_ms=None, *, slices=5, **options):
    """A series whose every voxel is its number."""
    data = np.full((8, 6, slices), number, np.uint16)
    uids = options.pop("uids", [STUDY, f"{STUDY}.{number}", f"{STUDY}.99"])
    write_series(
        folder / str(number), Volume(data, AFFINE), description=description, number=number,
        echo_ms=echo_ms, inversion_ms=inversion_ms, uids=uids, **options,
    )  # fmt: skip


OTHERS = (
    (1, "localizer", 5.0, None),
    (2, "ax T1 se", 10.0, None),
    (3, "T2 TSE tra", 100.0, None),
    (4, "Ax T1 FLAIR", 12.0, 900.0),
    (6, "STIR cor", 60.0, 160.0),
    (7, "t1_mprage_sag", 3.0, 900.0),
    (8, "DWI b1000 ADC", 90.0, None),
)
FLAIRS = {
    "plain": ("T2 FLAIR ax", 120.0, 2500.0),
    "siemens": ("t2_tirm_tra_dark-fluid", 86.0, 2500.0),
    "3d": ("Sag CUBE T2 FLAIR", 119.0, 1650.0),
    "joined": ("eT2W_FLAIR_SENSE", 125.0, 2800.0),
    "no times": ("AXT2FLAIR", None, None),
    "no name": ("", 110.0, 2200.0),
}


@pytest.mark.parametrize("name", FLAIRS)
def test_the_flair_is_chosen_among_others(tmp_path, name):
    for other in OTHERS:
        series(tmp_path, *other)
    series(tmp_path, 5, *FLAIRS[name])
    scan = read_dicom(tmp_path)
    assert (scan.volume.data == 5).all()
    assert scan.series.startswith("series 5, ")
    assert "FLAIR" in scan.why or "TI 2200 ms" in scan.why
    assert "1 localizer" in scan.why
    assert "T1-like" in scan.why


def test_the_description_is_short_and_the_patient_is_told(tmp_path):
    series(tmp_path, 5, "T2 FLAIR ax", 120.0, 2500.0, age="018M", sex="M")
    scan = read_dicom(tmp_path)
    assert scan.series == "series 5, T2 FLAIR axial, TE 120 ms, TI 2500 ms, 5 slices"
    assert (scan.age_years, scan.sex) == (1.5, "M")
    assert scan.why == (
        "the only series; FLAIR is in its description, TE 120 ms and TI 2500 ms fit"
    )


@pytest.mark.parametrize("age", ["", "000Y", None])
def test_an_unknown_age_and_sex_are_none(tmp_path, age):
    series(tmp_path, 5, "FLAIR", age=age, sex="O")
    scan = read_dicom(tmp_path)
    assert (scan.age_years, scan.sex) == (None, None)


def test_the_only_series_is_taken_and_doubt_is_said(tmp_path):
    series(tmp_path, 2, "T1 ax", 10.0)
    assert read_dicom(tmp_path).why == "the only series; its headers do not say FLAIR"


def test_several_without_a_flair_are_refused_and_listed(tmp_path):
    for other in OTHERS:
        series(tmp_path, *other)
    with pytest.raises(InputError, match="none of 7 series looks like a FLAIR") as caught:
        read_dicom(tmp_path)
    for number, *_ in OTHERS:
        assert f"series {number}, " in str(caught.value)
    assert "series number" in caught.value.remedy


def test_a_named_series_is_read_and_an_unknown_one_refused(tmp_path):
    series(tmp_path, 2, "T1 ax", 10.0)
    series(tmp_path, 5, "T2 FLAIR ax", 120.0, 2500.0)
    scan = read_dicom(tmp_path, series=2)
    assert (scan.volume.data == 2).all()
    assert scan.why == "named by its number"
    with pytest.raises(InputError, match="no series has the number 9; there are series 2"):
        read_dicom(tmp_path, series=9)


def test_two_that_nothing_tells_apart_are_refused(tmp_path):
    for number in (5, 6):
        series(tmp_path, number, "T2 FLAIR ax", 120.0, 2500.0)
    with pytest.raises(InputError, match=r"do not tell apart: series 5, .* series 6, "):
        read_dicom(tmp_path)


@pytest.mark.parametrize(
    ("rule", "five", "six"),
    [
        ("is original", {"slices": 4}, {"image_type": ("DERIVED", "SECONDARY", "MPR")}),
        ("names no contrast agent", {"slices": 4}, {"tags": {"ContrastBolusAgent": "agent"}}),
        ("has more slices", {}, {"slices": 4}),
        ("was acquired first", {}, {"tags": {"AcquisitionTime": "130000"}}),
    ],
)
def test_of_two_flairs_the_better_is_taken_and_the_rule_is_said(tmp_path, rule, five, six):
    series(tmp_path, 5, "T2 FLAIR ax", 120.0, 2500.0, **five)
    series(tmp_path, 6, "T2 FLAIR ax", 120.0, 2500.0, **six)
    scan = read_dicom(tmp_path)
    assert (scan.volume.data == 5).all()
    assert f"series 6 would be a FLAIR too, but this one {rule}" in scan.why


def test_a_derived_flair_is_taken_where_there_is_no_other(tmp_path):
    series(tmp_path, 5, "T2 FLAIR ax", 120.0, 2500.0, image_type=("DERIVED", "PRIMARY", "M"))
    series(tmp_path, 2, "T1 ax", 10.0)
    assert (read_dicom(tmp_path).volume.data == 5).all()


def test_patients_and_studies_are_not_mixed(tmp_path):
    series(tmp_path / "p", 5, "FLAIR", 120.0, 2500.0)
    series(tmp_path / "p", 6, "FLAIR", 120.0, 2500.0, tags={"PatientID": "other"})
    with pytest.raises(InputError, match="holds scans of 2 patients"):
        read_dicom(tmp_path / "p")
    series(tmp_path / "s", 5, "FLAIR", 120.0, 2500.0)
    series(tmp_path / "s", 6, "FLAIR", 120.0, 2500.0, uids=["1.5", "1.5.6", "1.5.99"])
    with pytest.raises(InputError, match="FLAIRs of 2 studies: series 5"):
        read_dicom(tmp_path / "s")
    assert (read_dicom(tmp_path / "s", series=6).volume.data == 6).all()


def test_echoes_of_one_series_are_told_apart(tmp_path):
    uids = [STUDY, f"{STUDY}.5", f"{STUDY}.99"]
    series(tmp_path / "a", 5, "FLAIR", 20.0, 2500.0, uids=uids)
    write_series(
        tmp_path / "b", Volume(np.full(SHAPE, 7, np.uint16), AFFINE), description="FLAIR",
        number=5, uids=uids,
    )  # fmt: skip
    scan = read_dicom(tmp_path)
    assert (scan.volume.data == 7).all()
    assert "TE 120 ms" in scan.series
