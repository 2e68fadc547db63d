"""One door for scans, NIfTI or DICOM: what is read, what is said of it, what it is called."""

import hashlib
import os
import shutil
import struct
import zlib

import numpy as np
import pytest

from dicom_series import LEAKS, write_series
from helper import make_affine, write_nifti
from plgg.core.errors import InputError
from plgg.core.volume import Volume
from plgg.data.scan import open_scan, read_scan, scan_name, scan_sha256

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


def test_one_reading_gives_image_doubts_and_hash(tmp_path, monkeypatch):
    """Whatever is asked of a NIfTI scan, its file is opened once."""
    opened = []
    really = os.open

    def counted(path, *rest, **named):
        opened.append(os.fspath(path))
        return really(path, *rest, **named)

    monkeypatch.setattr(os, "open", counted)
    path = write_nifti(tmp_path / "scan.nii.gz", DATA, SCAN.affine)
    found = open_scan(path)
    assert opened.count(os.fspath(path)) == 1
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest() == scan_sha256(path)


def test_names_in_any_encoding_are_hashed(tmp_path):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    (folder / os.fsdecode(b"\xff\xfe.dcm")).write_bytes(b"1")
    whole = hashlib.sha256(b"\xff\xfe.dcm\n" + hashlib.sha256(b"1").hexdigest().encode() + b"\n")
    assert scan_sha256(folder) == whole.hexdigest()
    path = write_nifti(folder / os.fsdecode(b"\xe9.nii.gz"), DATA, SCAN.affine)
    assert open_scan(path).sha256 == scan_sha256(path)


def test_a_folder_of_looping_links_is_hashed_once(series):
    before = scan_sha256(series)
    (series / "again").symlink_to(series)
    (series / "lost.dcm").symlink_to("nowhere.dcm")
    os.mkfifo(series / "pipe.dcm")
    assert scan_sha256(series) == before


def test_a_file_over_the_budget_is_not_hashed(tmp_path):
    path = tmp_path / "a.nii"
    with path.open("wb") as handle:
        handle.truncate(2**42)
    with pytest.raises(InputError, match="is a file of 4096 GiB, and at most 2 GiB are read"):
        scan_sha256(path)
    with pytest.raises(InputError, match="only zeros"):
        open_scan(path)


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "x" * 5000 + ".zip"])
def test_a_name_that_no_file_can_have_has_no_hash(tmp_path, name):
    assert scan_sha256(tmp_path / name) is None


@pytest.mark.parametrize(
    "fault", [struct.error, KeyError, RecursionError, AttributeError, MemoryError, zlib.error]
)
@pytest.mark.parametrize("reader", ["read_nifti", "read_dicom"])
def test_whatever_a_reader_raises_is_one_line(series, tmp_path, monkeypatch, reader, fault):
    def broken(_):
        raise fault("raw\nwords")

    monkeypatch.setattr(f"plgg.data.scan.{reader}", broken)
    path = series if reader == "read_dicom" else write_nifti(tmp_path / "a.nii", DATA)
    with pytest.raises(InputError) as caught:
        open_scan(path)
    assert "raw" not in str(caught.value)


def test_what_is_not_there_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"none: no such file"):
        read_scan(tmp_path / "none")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match="is text, not an image"):
        read_scan(tmp_path / "notes.txt")
