"""Nothing that identifies a patient leaves the reader, in results, messages, logs or warnings."""

import re
import warnings

import numpy as np
import pytest

from dicom_series import LEAKS, read_header, truncate, write_series
from helper import make_affine
from plgg.core.errors import InputError
from plgg.core.volume import Volume
from plgg.data.dicom.header import known_words
from plgg.data.dicom.read import read_dicom

SHAPE = (8, 6, 5)
AFFINE = make_affine((0.9, 0.9, 5.0), axes="LPS", shape=SHAPE)
VOLUME = Volume(np.arange(240, dtype=np.uint16).reshape(SHAPE), AFFINE)
UIDS = ["1.2.777.1", "1.2.777.2", "1.2.777.3"]
SECRET = re.compile(r"leak|given|1977|2020|1\.2\.777|\d{8}", re.IGNORECASE)


def assert_silent(text):
    assert not SECRET.search(text), SECRET.search(text)


def write(folder, *, number=5, tags=None, **options):
    options.setdefault("uids", UIDS)
    return write_series(folder, VOLUME, number=number, tags={**LEAKS, **(tags or {})}, **options)


@pytest.fixture(autouse=True)
def nothing_leaks(caplog, capfd):
    caplog.set_level(0)
    yield
    assert_silent(caplog.text)
    assert_silent("".join(capfd.readouterr()))


@pytest.mark.parametrize("enhanced", [False, True])
def test_a_scan_names_nobody(tmp_path, enhanced):
    write(tmp_path, enhanced=enhanced)
    later = {"AcquisitionDate": "20990707", "ContentDate": "20990707"}
    uids = [UIDS[0], "1.2.777.9", UIDS[2]]
    write(tmp_path, enhanced=enhanced, number=6, prefix="B", uids=uids, tags=later)
    scan = read_dicom(tmp_path, series=None)
    assert "T2 FLAIR axial" in scan.series
    assert_silent(repr(scan))
    assert_silent(f"{scan.series} {scan.why} {scan.files} {scan.sex} {scan.age_years}")


REFUSALS = {
    "a missing slice": lambda folder: write(folder, change=lambda _, k: k != 2),
    "cut short": lambda folder: truncate(write(folder, prefix="Leakname")[2], 0.5),
    "header cut": lambda folder: truncate(write(folder, prefix="Leakname")[2], 0.1),
    "no pixels": lambda folder: write(folder, tags={"PixelData": None}),
    "another modality": lambda folder: write(folder, tags={"Modality": "LEAKMOD"}),
    "two patients": lambda folder: (
        write(folder),
        write(folder, prefix="B", tags={"PatientID": "LEAK2"}, uids=["1.2.777.4"] * 3),
    ),
    "two alike": lambda folder: (
        write(folder),
        write(folder, prefix="B", uids=[UIDS[0], "1.2.777.9", UIDS[2]]),
    ),
    "two studies": lambda folder: (
        write(folder),
        write(folder, prefix="B", uids=["1.2.777.4"] * 3),
    ),
    "unknown": lambda folder: (
        write(folder, tags={"SeriesDescription": "Leakname", "EchoTime": 5}),
        write(
            folder, prefix="B", uids=[UIDS[0], "1.2.777.4", "1.2.777.4"],
            tags={"SeriesDescription": "Leakname", "EchoTime": 5},
        ),
    ),
    "colour": lambda folder: write(folder, tags={"PhotometricInterpretation": "LEAK"}),
    "mosaic": lambda folder: write(folder, image_type=["LEAK", "LEAK", "MOSAIC"]),
    "one slice": lambda folder: write(folder, change=lambda _, k: k == 0),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_names_nobody(tmp_path, name):
    folder = tmp_path / "s"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        REFUSALS[name](folder)
    with pytest.raises(InputError) as caught:
        read_dicom(folder)
    assert_silent(str(caught.value).replace(str(folder), ""))
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_values_that_the_reader_would_complain_of_are_not_quoted(tmp_path):
    for file in write(tmp_path / "s"):
        raw = file.read_bytes()
        file.write_bytes(raw.replace(b"19770707", b"LEAKDATE").replace(b"008Y", b"LEAK"))
        assert b"LEAKDATE" in file.read_bytes()
    assert read_dicom(tmp_path / "s").age_years is None
    for file in (tmp_path / "s").iterdir():
        file.write_bytes(file.read_bytes().replace(b"2500.0", b"LEAKTI"))
    with pytest.raises(InputError, match="header cannot be read") as caught:
        read_dicom(tmp_path / "s")
    assert_silent(str(caught.value).replace(str(tmp_path), ""))


def test_the_reader_is_left_as_it_was(tmp_path):
    import logging

    from pydicom import config

    before = logging.getLogger("pydicom").level, config.settings.reading_validation_mode
    write(tmp_path)
    read_dicom(tmp_path)
    assert (logging.getLogger("pydicom").level, config.settings.reading_validation_mode) == before
    assert read_header(next(tmp_path.iterdir())).PatientID == "LEAKID77"


def test_only_known_words_pass():
    assert known_words("Doe^Jane t2_tirm_tra_dark-fluid_p2 1977") == ("T2", "TIRM", "dark-fluid")
    assert known_words("AXT2FLAIR Smith") == ("T2", "FLAIR")
    assert known_words("Sag CUBE T2FLAIR Müller-Flairsson") == ("T2", "FLAIR", "CUBE")
    assert known_words("O'Brien 12345678") == ()
