"""One door for scans, NIfTI or DICOM: what is read, what is said of it, what it is called."""

import shutil

import numpy as np
import pytest

from dicom_series import LEAKS, write_series
from helper import make_affine, write_nifti
from plgg.errors import InputError
from plgg.io.scan import open_scan, read_scan, scan_name, scan_sha256
from plgg.volume import Volume

DATA = np.arange(6 * 5 * 4, dtype=np.float32).reshape(6, 5, 4)
SCAN = Volume(DATA, make_affine((1.0, 1.2, 3.0), axes="LPS", shape=DATA.shape))


@pytest.fixture
def series(tmp_path):
    write_series(tmp_path / "study", SCAN)
    return tmp_path / "study"


def world_values(volume):
    """Value by world position, so that the order of axes does not matter."""
    places = np.argwhere(np.ones(volume.shape, bool))
    world = places @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    keys = map(tuple, np.round(world, 2) + 0.0)
    return dict(zip(keys, volume.data[tuple(places.T)].round(1).tolist(), strict=True))


def test_dicom_and_nifti_of_one_scan_are_one(series, tmp_path):
    nifti = write_nifti(tmp_path / "scan.nii.gz", SCAN.data, SCAN.affine)
    zipped = shutil.make_archive(tmp_path / "zipped", "zip", series)
    found = world_values(read_scan(nifti))
    for path in (series, tmp_path / "zipped.zip"):
        assert world_values(read_scan(path)) == found, path
    assert zipped.endswith("zipped.zip")


def test_the_choice_of_a_series_is_told_and_names_no_one(tmp_path):
    write_series(tmp_path / "study", SCAN, tags=LEAKS)
    told = open_scan(tmp_path / "study").chosen
    assert "FLAIR" in told
    assert "leak" not in told.lower()


def test_a_header_that_is_silent_or_contradicts_itself_is_doubted(tmp_path):
    import nibabel as nib

    image = nib.Nifti1Image(DATA, None)
    image.header["qform_code"] = image.header["sform_code"] = 0
    nib.save(image, tmp_path / "silent.nii.gz")
    assert "left, front and up" in open_scan(tmp_path / "silent.nii.gz").doubts[0]
    moved = SCAN.affine.copy()
    moved[:3, 3] += 30.0
    image = nib.Nifti1Image(DATA, SCAN.affine)
    image.set_qform(moved, code=1)
    nib.save(image, tmp_path / "torn.nii.gz")
    assert "52 mm apart" in open_scan(tmp_path / "torn.nii.gz").doubts[0]
    sound = write_nifti(tmp_path / "sound.nii.gz", DATA, SCAN.affine)
    assert open_scan(sound).doubts == ()


def test_names_and_hashes_of_any_form(series, tmp_path):
    assert scan_name(tmp_path / "a.b.nii.gz") == "a.b"
    assert scan_name(tmp_path / "study.zip") == "study"
    assert scan_name(series) == "study"
    before = scan_sha256(series)
    copied = shutil.copytree(series, tmp_path / "copy")
    assert scan_sha256(copied) == before
    next(copied.iterdir()).write_bytes(b"x")
    assert scan_sha256(copied) != before
    assert scan_sha256(tmp_path / "none") is None


def test_what_is_not_there_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"none: no such file"):
        read_scan(tmp_path / "none")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match="is text, not an image"):
        read_scan(tmp_path / "notes.txt")
