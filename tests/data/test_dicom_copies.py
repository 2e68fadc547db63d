"""Files that are there twice are one image, if they truly are; padding is background."""

import shutil

import numpy as np
import pytest

from dicom_series import read_header, write_series
from helper import make_affine
from plgg.core.errors import InputError
from plgg.core.volume import Volume
from plgg.data.dicom.read import read_dicom

SHAPE = (8, 6, 5)
AFFINE = make_affine((0.9, 0.9, 5.0), axes="LPS", shape=SHAPE)
DATA = np.arange(10, 250).reshape(SHAPE)
VOLUME = Volume(DATA, AFFINE)


def altered(file, **tags):
    header = read_header(file)
    for keyword, value in tags.items():
        setattr(header, keyword, value)
    header.save_as(file)


@pytest.mark.parametrize("enhanced", [False, True])
def test_of_files_that_are_there_twice_one_is_taken_and_that_is_said(tmp_path, enhanced):
    write_series(tmp_path / "a", VOLUME, enhanced=enhanced)
    once = read_dicom(tmp_path)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    twice = read_dicom(tmp_path)
    np.testing.assert_array_equal(twice.volume.data, once.volume.data)
    assert twice.files == once.files
    n = "1 copy" if enhanced else "5 copies"
    assert twice.why == f"{once.why}; {n} of its files, alike in every pixel, passed over"
    assert "copies" not in once.why


def test_a_copy_in_another_compression_is_a_copy(tmp_path):
    files = write_series(tmp_path, VOLUME)
    header = read_header(files[2])
    header.compress("1.2.840.10008.1.2.5", generate_instance_uid=False)
    header.save_as(tmp_path / "again.dcm")
    assert "; 1 copy of its files" in read_dicom(tmp_path).why


@pytest.mark.parametrize("tags", [{"PixelData": bytes(96)}, {"RescaleSlope": 2.0}])
def test_one_identifier_and_other_pixels_are_an_error(tmp_path, tags):
    files = write_series(tmp_path, VOLUME)
    shutil.copy(files[2], tmp_path / "again.dcm")
    altered(tmp_path / "again.dcm", **tags)
    with pytest.raises(InputError, match=r"have one identifier .* not the same pixels"):
        read_dicom(tmp_path)


def test_one_identifier_for_all_files_is_no_obstacle(tmp_path):
    """Some tools that take names away do that; the places still tell the slices apart."""
    for file in write_series(tmp_path, VOLUME):
        altered(file, SOPInstanceUID="1.2.3")
    assert read_dicom(tmp_path).volume.shape == SHAPE


@pytest.mark.parametrize(
    ("value", "limit", "data"),
    [
        (-32768, None, np.where(DATA < 40, -32768, DATA).astype(np.int16)),
        (-2000, -1000, np.where(DATA < 40, -1000 - DATA, DATA).astype(np.int16)),
        (-1000, -2000, np.where(DATA < 40, -1000 - DATA, DATA).astype(np.int16)),
        (65535, None, np.where(DATA < 40, 65535, DATA).astype(np.uint16)),
        (60000, 65535, np.where(DATA < 40, 60000 + DATA, DATA).astype(np.uint16)),
    ],
)
@pytest.mark.parametrize("enhanced", [False, True])
@pytest.mark.parametrize("syntax", ["plain", "implicit", "rle"])
def test_padding_is_background(tmp_path, value, limit, data, enhanced, syntax):
    tags = {"PixelPaddingValue": value, "PixelPaddingRangeLimit": limit}
    write_series(tmp_path, Volume(data, AFFINE), enhanced=enhanced, syntax=syntax, tags=tags)
    expected = np.where(DATA < 40, 0, DATA)
    found = read_dicom(tmp_path).volume
    assert sorted(found.data.ravel()) == sorted(expected.ravel())
    assert (found.data == 0).sum() == (DATA < 40).sum()


def test_padding_whose_sign_was_lost_is_known_and_the_rest_keeps_its_place(tmp_path):
    data = np.where(DATA < 40, -32768, DATA).astype(np.int16)
    for file in write_series(tmp_path, Volume(data, AFFINE)):
        header = read_header(file)
        header.add_new("PixelPaddingValue", "US", 32768)
        header.save_as(file)
    np.testing.assert_array_equal(read_dicom(tmp_path).volume.data, np.where(DATA < 40, 0, DATA))


def test_padding_below_negative_values_becomes_the_lowest_of_them(tmp_path):
    data = np.where(DATA < 40, -32768, DATA - 100).astype(np.int16)
    write_series(tmp_path, Volume(data, AFFINE), tags={"PixelPaddingValue": -32768})
    assert read_dicom(tmp_path).volume.data.min() == -60


def test_a_scan_of_nothing_but_padding_is_flat(tmp_path):
    data = np.full(SHAPE, -32768, np.int16)
    write_series(tmp_path, Volume(data, AFFINE), tags={"PixelPaddingValue": -32768})
    assert not read_dicom(tmp_path).volume.data.any()
