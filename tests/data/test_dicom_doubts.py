"""A series that its headers call something else than a FLAIR is read only with a warning."""

import numpy as np
import pytest

from dicom_series import LEAKS, write_series
from helper import make_affine
from plgg.core.volume import Volume
from plgg.data.check.case import check_case
from plgg.data.dicom.read import read_dicom
from plgg.data.manifest import Case
from plgg.data.scan import open_scan

SHAPE = (8, 6, 5)
AFFINE = make_affine((0.9, 0.9, 5.0), axes="LPS", shape=SHAPE)
ORIGINAL, DERIVED = ("ORIGINAL", "PRIMARY", "M"), ("DERIVED", "SECONDARY", "M")


def write(folder, value=1, **options):
    return write_series(folder, Volume(np.full(SHAPE, value, np.uint16), AFFINE), **options)


OTHERS = {
    "T1": ({"description": "ax T1 se", "echo_ms": 10.0, "inversion_ms": None}, "T1-like"),
    "MPRAGE": ({"description": "mprage", "echo_ms": 3.0, "inversion_ms": 900.0}, "T1-like"),
    "T1 FLAIR": ({"description": "T1 FLAIR", "echo_ms": 12.0, "inversion_ms": 900.0}, "T1-like"),
    "FLAIR of a T1": ({"description": "FLAIR", "echo_ms": 9.0, "inversion_ms": 800.0}, "T1-like"),
    "T2": ({"description": "T2 tse", "echo_ms": 100.0, "inversion_ms": None}, "T2-like"),
    "no name, T2": ({"description": "", "echo_ms": 100.0, "inversion_ms": None}, "T2-like"),
    "PD": ({"description": "pd tse", "echo_ms": 12.0, "inversion_ms": None}, "PD-like"),
    "STIR": ({"description": "STIR cor", "echo_ms": 60.0, "inversion_ms": 160.0}, "a STIR"),
    "no name, STIR": ({"description": "x", "echo_ms": 60.0, "inversion_ms": 160.0}, "a STIR"),
    "MIP": ({"description": "FLAIR MIP"}, "a projection (MIP)"),
    "a projection": ({"image_type": (*ORIGINAL, "PROJECTION IMAGE")}, "a projection (MIP)"),
    "localizer": ({"description": "localizer"}, "a localizer"),
    "scout": ({"image_type": ("ORIGINAL", "PRIMARY", "LOCALIZER")}, "a localizer"),
    "DWI": ({"description": "ep2d_diff b1000"}, "diffusion"),
    "ADC": ({"image_type": ("DERIVED", "PRIMARY", "ADC")}, "an ADC map"),
    "SWI": ({"description": "SWI"}, "susceptibility"),
    "capture": ({"description": "", "image_type": DERIVED, "echo_ms": None, "inversion_ms": None},
                "derived, of an unknown kind"),
    "phase": ({"image_type": ("ORIGINAL", "PRIMARY", "P")}, "a phase image"),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_what_the_headers_call_it_is_named(tmp_path, name):
    options, called = OTHERS[name]
    write(tmp_path, **options)
    (doubt,) = read_dicom(tmp_path).doubts
    assert doubt.startswith(f"by its headers it is {called}, not a FLAIR (series 5, ")


def test_silent_headers_derived_images_and_contrast_are_doubted(tmp_path):
    write(tmp_path / "silent", description="", echo_ms=None, inversion_ms=None)
    write(tmp_path / "derived", image_type=DERIVED)
    write(tmp_path / "agent", tags={"ContrastBolusAgent": "Leakovist"})
    write(tmp_path / "named", description="T2 FLAIR post gd")
    said = {
        "silent": "do not say which sequence",
        "derived": "derived from other images",
        "agent": "name a contrast agent",
        "named": "name a contrast agent",
    }
    for folder, clause in said.items():
        (doubt,) = read_dicom(tmp_path / folder).doubts
        assert clause in doubt
        assert "Leak" not in doubt


@pytest.mark.parametrize(
    "description",
    ["Ax T2 FLAIR +C", "FLAIR C+", "FLAIR_+c", "FLAIR with contrast", "FLAIR postcontrast",
     "FLAIR POSTGAD", "FLAIR gado", "FLAIR_gadolinium", "FLAIR tra KM", "t2_flair_CE",
     "FLAIR pre and post Gd", "FLAIR preop, post-Gd"],
)  # fmt: skip
def test_contrast_is_told_however_the_description_writes_it(tmp_path, description):
    write(tmp_path, description=description)
    (doubt,) = read_dicom(tmp_path).doubts
    assert "name a contrast agent" in doubt


@pytest.mark.parametrize(
    "description",
    ["FLAIR w/o contrast", "FLAIR WO/C", "FLAIR no contrast", "FLAIR ohne KM", "FLAIR pre Gd",
     "FLAIR sin contraste", "FLAIR post-op", "FLAIR postop", "FLAIR post RT", "FLAIR C-spine"],
)  # fmt: skip
def test_contrast_that_was_not_given_is_not_told(tmp_path, description):
    write(tmp_path, description=description)
    assert read_dicom(tmp_path).doubts == ()


@pytest.mark.parametrize("agent", [None, "", "NO", "none"])
def test_a_plain_flair_is_not_doubted(tmp_path, agent):
    write(tmp_path, tags={"ContrastBolusAgent": agent, **LEAKS})
    assert read_dicom(tmp_path).doubts == ()


def test_the_flair_behind_a_link_is_read_and_not_the_t1_beside_it(tmp_path):
    write(tmp_path / "archive" / "flair", 5)
    write(tmp_path / "study" / "t1", 2, description="T1", echo_ms=9.0, inversion_ms=None,
          uids=["1.2.3", "1.2.3.1", "1.2.3.2"])  # fmt: skip
    (tmp_path / "study" / "flair").symlink_to(tmp_path / "archive" / "flair")
    (tmp_path / "study" / "up").symlink_to(tmp_path / "study")
    scan = read_dicom(tmp_path / "study")
    assert (scan.volume.data == 5).all()
    assert scan.doubts == ()
    assert len(scan.files) == 5


def test_a_link_that_leads_nowhere_is_told(tmp_path):
    write(tmp_path)
    (tmp_path / "flair").symlink_to(tmp_path / "unmounted")
    assert read_dicom(tmp_path).doubts == ("1 link in the folder cannot be followed",)


def test_the_check_and_whoever_opens_the_scan_repeat_the_warning(tmp_path):
    write(tmp_path / "study", description="T1", echo_ms=9.0, inversion_ms=None)
    assert "T1-like" in open_scan(tmp_path / "study").doubts[0]
    found = check_case(Case("P1", "P1", tmp_path / "study")).findings
    (warning,) = [one for one in found if one.severity == "warning" and one.code == "dicom-series"]
    assert "T1-like" in warning.message
    assert "Name the folder" in warning.remedy


@pytest.mark.real
def test_of_the_real_series_only_the_one_with_a_t1s_times_is_doubted(shared_data):
    doubts = {
        name: read_dicom(shared_data / "dicom" / name / "001").doubts
        for name in ("anatomical", "generic/anatomical", "philips/anatomical")
    }
    assert "T1-like" in doubts.pop("anatomical")[0]
    assert set(doubts.values()) == {()}
