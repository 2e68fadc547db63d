"""What a DICOM SEG says of itself and of the patient, and what is said where it cannot be made."""

import logging
import shutil

import numpy as np
import pydicom
import pytest

from dicom_seg import GRIDS, SHAPE, assert_in_place, blob, scan, written
from dicom_series import LEAKS, write_series
from plgg.core.errors import InputError
from plgg.data.dicom.read import read_dicom
from plgg.data.dicom.segmentation import write_segmentation


def test_every_value_is_what_dicom_allows(tmp_path, monkeypatch):
    path, _ = written(tmp_path, scan(GRIDS["axial"]))
    monkeypatch.setattr(pydicom.config.settings, "reading_validation_mode", pydicom.config.RAISE)
    found = pydicom.dcmread(path)
    found.walk(lambda _, element: element.value)
    assert found.file_meta.TransferSyntaxUID == pydicom.uid.ExplicitVRLittleEndian
    assert found.SOPClassUID == pydicom.uid.SegmentationStorage
    assert (found.SegmentationType, found.BitsAllocated) == ("BINARY", 1)


def test_terms_are_standard(tmp_path):
    path, _ = written(tmp_path, scan(GRIDS["axial"]))
    segment = pydicom.dcmread(path).SegmentSequence[0]
    assert segment.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "49755003"
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodeValue == "108369006"
    assert segment.AnatomicRegionSequence[0].CodeValue == "12738006"
    assert segment.SegmentAlgorithmType == "AUTOMATIC"


def test_no_tumour_is_a_segmentation_with_nothing_marked(tmp_path):
    write_series(tmp_path / "series", scan(GRIDS["axial"]))
    volume = read_dicom(tmp_path / "series").volume
    empty = volume.with_data(np.zeros(volume.shape, dtype=np.bool_))
    write_segmentation(tmp_path / "s.dcm", empty, tmp_path / "series")
    found = pydicom.dcmread(tmp_path / "s.dcm")
    assert found.NumberOfFrames == SHAPE[2]
    assert not found.pixel_array.any()


def test_the_same_mask_on_the_same_scan_is_the_same_object(tmp_path):
    path, mask = written(tmp_path, scan(GRIDS["axial"]))
    again = tmp_path / "again.dcm"
    write_segmentation(again, mask, tmp_path / "series")
    one, other = pydicom.dcmread(path), pydicom.dcmread(again)
    assert one.SOPInstanceUID == other.SOPInstanceUID
    assert one.SeriesInstanceUID == other.SeriesInstanceUID
    moved = mask.with_data(np.roll(mask.data, 1, axis=0))
    write_segmentation(again, moved, tmp_path / "series")
    assert pydicom.dcmread(again).SOPInstanceUID != one.SOPInstanceUID


def test_a_source_that_is_gone_or_changed_is_named(tmp_path):
    _, mask = written(tmp_path, scan(GRIDS["axial"]))
    with pytest.raises(InputError, match="no such file or folder"):
        write_segmentation(tmp_path / "s.dcm", mask, tmp_path / "nowhere")
    moved = GRIDS["axial"].copy()
    moved[0, 3] += 0.5
    shutil.rmtree(tmp_path / "series")
    write_series(tmp_path / "series", scan(moved))
    with pytest.raises(InputError, match="no longer the scan"):
        write_segmentation(tmp_path / "s.dcm", mask, tmp_path / "series")
    assert not (tmp_path / "s.dcm").exists()


@pytest.mark.parametrize(
    "lost",
    [
        {"SOPInstanceUID": None},
        {"StudyInstanceUID": ""},
        {"SeriesInstanceUID": None, "FrameOfReferenceUID": None},
        {"SOPInstanceUID": "1.2.3"},
    ],
)
def test_headers_that_lack_what_a_segmentation_needs_are_told_without_a_name(
    lost, tmp_path, caplog
):
    caplog.set_level(logging.DEBUG)
    write_series(tmp_path / "series", scan(GRIDS["axial"]), tags={**LEAKS, **lost})
    mask = blob(read_dicom(tmp_path / "series").volume)
    with pytest.raises(InputError, match="lack what a DICOM SEG") as caught:
        write_segmentation(tmp_path / "s.dcm", mask, tmp_path / "series")
    assert "leak" not in f"{caught.value}{caplog.text}".lower()
    assert not (tmp_path / "s.dcm").exists()


def test_identity_goes_into_the_file_and_nowhere_else(tmp_path, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    path, _ = written(tmp_path, scan(GRIDS["axial"]), tags=LEAKS)
    found = pydicom.dcmread(path)
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "StudyID", "AccessionNumber"):
        assert str(found[keyword].value) == LEAKS[keyword]
    said = f"{caplog.text}{''.join(capfd.readouterr())}"
    source = pydicom.dcmread(next((tmp_path / "series").iterdir()))
    secrets = [*LEAKS.values(), source.StudyInstanceUID, source.SeriesInstanceUID]
    assert not [one for one in secrets if one in said]
    # One file's identifier begins as its neighbours' do.
    assert source.SOPInstanceUID[:20] not in said


@pytest.mark.parametrize(
    ("tags", "name"),
    [
        ({"SpecificCharacterSet": "ISO_IR 100"}, "Müller^Jörg"),
        ({"SpecificCharacterSet": ["", "ISO 2022 IR 87"]}, "Yamada^Tarou=山田^太郎"),
        ({"PatientSex": "W"}, "Doe^Jane"),
    ],
)
def test_names_keep_their_letters(tags, name, tmp_path):
    tags = {**tags, "PatientName": name, "StudyDescription": name[-2:]}
    path, _ = written(tmp_path, scan(GRIDS["axial"]), tags=tags)
    found = pydicom.dcmread(path)
    assert (found.PatientName, found.StudyDescription) == (name, name[-2:])


def test_dates_that_are_none_are_left_empty(tmp_path, monkeypatch):
    for mode in ("writing_validation_mode", "reading_validation_mode"):
        monkeypatch.setattr(pydicom.config.settings, mode, pydicom.config.IGNORE)
    path, _ = written(tmp_path, scan(GRIDS["axial"]), tags={"PatientBirthDate": "7.7.1977"})
    assert pydicom.dcmread(path).PatientBirthDate in ("", None)


def test_older_headers_without_a_birth_date_are_no_obstacle(tmp_path):
    lacking = dict.fromkeys(["PatientBirthDate", "StudyID", "AccessionNumber"])
    path, mask = written(tmp_path, scan(GRIDS["axial"]), tags=lacking)
    assert_in_place(path, mask)


@pytest.mark.parametrize("enhanced", [False, True])
@pytest.mark.parametrize(
    "lost",
    [
        ["PatientSex"],
        ["FrameOfReferenceUID"],
        ["SliceThickness"],
        ["PatientName", "PatientID", "StudyDate", "StudyTime", "ReferringPhysicianName"],
        ["Manufacturer", "SeriesNumber", "InstanceNumber", "Modality", "SOPClassUID"],
    ],
)
def test_headers_that_lack_something_carry_a_segmentation_or_are_refused_in_a_line(
    lost, enhanced, tmp_path
):
    tags = dict.fromkeys(lost)
    write_series(tmp_path / "series", scan(GRIDS["axial"]), enhanced=enhanced, tags=tags)
    if enhanced and "SliceThickness" in lost:
        (file,) = (tmp_path / "series").iterdir()
        header = pydicom.dcmread(file)
        del header.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SliceThickness
        header.save_as(file)
    mask = blob(read_dicom(tmp_path / "series").volume)
    if "SOPClassUID" in lost:
        with pytest.raises(InputError, match="lack what a DICOM SEG"):
            write_segmentation(tmp_path / "s.dcm", mask, tmp_path / "series")
    else:
        write_segmentation(tmp_path / "s.dcm", mask, tmp_path / "series")
        assert_in_place(tmp_path / "s.dcm", mask)
