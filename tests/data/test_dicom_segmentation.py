"""A mask as DICOM SEG lies where the mask lies: read back by readers that are not ours."""

import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest

from dicom_seg import (
    GRIDS,
    SHAPE,
    TOLERANCE_MM,
    assert_in_place,
    blob,
    by_pydicom,
    gap_mm,
    points,
    scan,
    written,
)
from dicom_series import SYNTAXES, write_series
from plgg.data.dicom.read import read_dicom
from plgg.data.dicom.segmentation import write_segmentation


@pytest.mark.parametrize("enhanced", [False, True], ids=["classic", "enhanced"])
@pytest.mark.parametrize("name", GRIDS)
def test_the_mask_lies_on_the_same_patient_coordinates(name, enhanced, tmp_path):
    path, mask = written(tmp_path, scan(GRIDS[name]), enhanced=enhanced)
    assert_in_place(path, mask)


UNTRUE = {
    "instance numbers run against the positions": lambda d, k: setattr(d, "InstanceNumber", 99 - k),
    "instance numbers are all alike": lambda d, _: setattr(d, "InstanceNumber", 1),
    "the distance between slices is not theirs": lambda d, _: setattr(
        d, "SpacingBetweenSlices", "9.0"
    ),
    "the distance between slices is negative": lambda d, _: setattr(
        d, "SpacingBetweenSlices", "-3.3"
    ),
    "the thickness is empty": lambda d, _: setattr(d, "SliceThickness", None),
    "positions are rounded": lambda d, _: setattr(
        d, "ImagePositionPatient", [round(float(one), 2) for one in d.ImagePositionPatient]
    ),
    "directions differ in the last digit": lambda d, k: setattr(
        d, "ImageOrientationPatient", [float(n) + 1e-7 * k for n in d.ImageOrientationPatient]
    ),
}


@pytest.mark.parametrize("name", UNTRUE)
@pytest.mark.parametrize("shuffled", [False, True], ids=["in order", "shuffled"])
def test_untrue_headers_do_not_move_it(name, shuffled, tmp_path):
    grid = scan(GRIDS["doubly oblique"])
    path, mask = written(tmp_path, grid, change=UNTRUE[name], shuffled=shuffled)
    assert_in_place(path, mask)
    (measures,) = pydicom.dcmread(path).SharedFunctionalGroupsSequence[0].PixelMeasuresSequence
    assert measures.SliceThickness > 0
    assert measures.SpacingBetweenSlices == pytest.approx(3.3, abs=TOLERANCE_MM)


def test_a_zip_is_as_good_as_a_folder(tmp_path):
    _, mask = written(tmp_path, scan(GRIDS["coronal"]))
    archive = shutil.make_archive(tmp_path / "zipped", "zip", tmp_path / "series")
    write_segmentation(tmp_path / "s.dcm", mask, Path(archive))
    assert_in_place(tmp_path / "s.dcm", mask)


def per_frame(dataset):
    """Orientation and spacing in each frame's own groups, as some scanners write them."""
    shared = dataset.SharedFunctionalGroupsSequence[0]
    for group in dataset.PerFrameFunctionalGroupsSequence:
        for keyword in ("PlaneOrientationSequence", "PixelMeasuresSequence"):
            setattr(group, keyword, [shared[keyword][0]])
    for keyword in ("PlaneOrientationSequence", "PixelMeasuresSequence"):
        delattr(shared, keyword)


def with_a_short_echo(dataset):
    """Before each frame another one at the same place, of an echo that is not the FLAIR's."""
    shared = dataset.SharedFunctionalGroupsSequence[0]
    pixels = dataset.pixel_array
    groups = []
    for group in dataset.PerFrameFunctionalGroupsSequence:
        for echo in (15.0, shared.MREchoSequence[0].EffectiveEchoTime):
            item = pydicom.Dataset()
            item.update(group)
            item.MREchoSequence = [pydicom.Dataset()]
            item.MREchoSequence[0].EffectiveEchoTime = echo
            groups.append(item)
    del shared.MREchoSequence
    dataset.PerFrameFunctionalGroupsSequence = groups
    dataset.NumberOfFrames = len(groups)
    dataset.PixelData = np.repeat(pixels, 2, axis=0).tobytes()


@pytest.mark.parametrize("change", [None, per_frame, with_a_short_echo])
def test_enhanced_frames_are_those_that_were_read(change, tmp_path):
    (file,) = write_series(tmp_path / "series", scan(GRIDS["oblique"]), enhanced=True)
    source = pydicom.dcmread(file)
    if change:
        change(source)
        source.save_as(file)
    mask = blob(read_dicom(tmp_path / "series").volume)
    write_segmentation(tmp_path / "s.dcm", mask, tmp_path / "series")
    assert_in_place(tmp_path / "s.dcm", mask)
    found = pydicom.dcmread(tmp_path / "s.dcm")
    assert found.NumberOfFrames == SHAPE[2]
    for group in found.PerFrameFunctionalGroupsSequence:
        reference = group.DerivationImageSequence[0].SourceImageSequence[0]
        assert reference.ReferencedSOPInstanceUID == source.SOPInstanceUID
        frame = source.PerFrameFunctionalGroupsSequence[reference.ReferencedFrameNumber - 1]
        positions = [
            np.array(one.PlanePositionSequence[0].ImagePositionPatient, float)
            for one in (group, frame)
        ]
        np.testing.assert_allclose(*positions, atol=TOLERANCE_MM)
        if change is with_a_short_echo:
            assert frame.MREchoSequence[0].EffectiveEchoTime > 100


def test_every_frame_of_the_source_is_there_and_refers_to_it(tmp_path):
    path, _ = written(tmp_path, scan(GRIDS["sagittal"]))
    found = pydicom.dcmread(path)
    sources = [pydicom.dcmread(file) for file in (tmp_path / "series").iterdir()]
    assert found.NumberOfFrames == len(sources) == SHAPE[2]
    positions = {
        item.SOPInstanceUID: np.array(item.ImagePositionPatient, float) for item in sources
    }
    for group in found.PerFrameFunctionalGroupsSequence:
        derivation = group.DerivationImageSequence[0].SourceImageSequence[0]
        own = np.array(group.PlanePositionSequence[0].ImagePositionPatient, float)
        np.testing.assert_allclose(
            own, positions[derivation.ReferencedSOPInstanceUID], atol=TOLERANCE_MM
        )
    assert found.StudyInstanceUID == sources[0].StudyInstanceUID
    assert found.FrameOfReferenceUID == sources[0].FrameOfReferenceUID
    assert found.SeriesInstanceUID != sources[0].SeriesInstanceUID


@pytest.mark.parametrize("syntax", [name for name in SYNTAXES if name != "plain"])
def test_compressed_sources_make_no_difference(syntax, tmp_path):
    path, mask = written(tmp_path, scan(GRIDS["oblique"]), syntax=syntax)
    assert gap_mm(by_pydicom(path), points(mask.data, mask.affine)) < TOLERANCE_MM


@pytest.mark.real
def test_real_headers_carry_a_segmentation(shared_data, tmp_path):
    series = sorted((shared_data / "dicom").glob("**/anatomical/001"))
    assert series
    for number, folder in enumerate(series):
        volume = read_dicom(folder).volume
        data = np.zeros(volume.shape, dtype=np.bool_)
        data[20:40, 30:35, 1:3] = True
        data[20:22, 30:60, 2] = True
        path = tmp_path / f"{number}.dcm"
        write_segmentation(path, volume.with_data(data), folder)
        assert_in_place(path, volume.with_data(data))
