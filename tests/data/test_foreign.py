"""What is no NIfTI image is called what it is, with a way to convert it."""

import gzip
import os
import socket

import nibabel as nib
import numpy as np
import pytest

from helper import write_nifti
from plgg.core.errors import InputError
from plgg.data.scan import open_scan

DATA = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
HEADER = nib.Nifti1Image(DATA, np.eye(4)).to_bytes()[:352]


def refusal(path):
    with pytest.raises(InputError) as caught:
        open_scan(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    assert caught.value.remedy
    return f"{caught.value.what}. {caught.value.remedy}"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n", "git lfs pull"),
        (b"/annex/objects/SHA256E-s3--12.nii.gz\n", "git annex get"),
        (b"../.git/annex/objects/x/SHA256E-s3--12.nii.gz", "git annex get"),
        (b"<!DOCTYPE html>\n<html><title>403</title>", "is a web page"),
        (b"\n<HTML><body>Log in</body></HTML>", "is a web page"),
        (b'<?xml version="1.0"?>\n<GIFTI Version="1.0">', "is GIFTI"),
        (b'<?xml version="1.0"?>\n<Error>', "is XML"),
        ("Grüße, dies ist kein Bild".encode(), "is text"),
        (b"\ntype  = integer-attribute\nname  = DATASET_RANK\ncount = 8\n", "3dAFNItoNIFTI"),
        (b"ObjectType = Image\nNDims = 3\n", "is MetaImage"),
        (b"NRRD0004\ntype: float\n", "is NRRD"),
        (b"\x89HDF\r\n\x1a\n" + bytes(400), "is HDF5"),
        (b"\0\0\0\1\0\0\1\0\0\0\1\0" + bytes(300), "mri_convert"),
        (bytes(128) + b"DICM" + bytes(300), "is DICOM"),
        (b"PK\3\4" + bytes(400), "is a zip"),
        (gzip.compress(HEADER, mtime=0), "compressed twice"),
        (b"BZh91AY" + bytes(400), "bunzip2"),
        (b"\xfd7zXZ\0" + bytes(400), "unxz"),
        (b"\x89PNG\r\n\x1a\n" + bytes(400), "is a PNG"),
        (b"x" * 257 + b"ustar\0" + bytes(300), "is a tar archive"),
        (b"", "is empty"),
        (bytes(4000), "only zeros"),
        (HEADER[:200], "its header ends after 200 bytes"),
        (b"\x5c\1\0\0", "its header ends after 4 bytes"),
    ],
)
def test_a_file_is_told_by_its_contents(tmp_path, content, told):
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(content))
    assert told in refusal(tmp_path / "a.nii.gz")
    (tmp_path / "a.nii").write_bytes(content)
    if not told.startswith("compressed twice"):
        assert told in refusal(tmp_path / "a.nii")


@pytest.mark.parametrize(
    ("name", "image", "told"),
    [
        ("a.mgz", nib.MGHImage(DATA, np.eye(4)), "mri_convert a.mgz a.nii.gz"),
        ("a.mgh", nib.MGHImage(DATA, np.eye(4)), "mri_convert a.mgh a.nii.gz"),
        ("a.img", nib.Nifti1Pair(DATA, np.eye(4)), "fslchfiletype NIFTI_GZ a."),
        ("a.img", nib.AnalyzeImage(DATA, np.eye(4)), "fslchfiletype NIFTI_GZ a."),
        ("a.img", nib.Spm99AnalyzeImage(DATA, np.eye(4)), "fslchfiletype NIFTI_GZ a."),
    ],
)
def test_other_formats_name_their_converter(tmp_path, name, image, told):
    nib.save(image, tmp_path / name)
    for path in tmp_path.iterdir():
        if path.suffix != ".mat":
            assert told in refusal(path)


@pytest.mark.parametrize(
    "name",
    ["a.BRIK", "a+orig.brik.gz", "a.HEAD", "a.nrrd", "a.mha", "a.mnc", "a.PAR", "a.gii", "a.bin"],
)
def test_bytes_that_tell_nothing_are_told_by_their_name(tmp_path, name):
    (tmp_path / name).write_bytes(bytes(range(1, 200)) * 9)
    assert ("is named as" in refusal(tmp_path / name)) == (name != "a.bin")


def test_a_folder_is_not_a_nifti_file(tmp_path):
    (tmp_path / "x.nii.gz").mkdir()
    write_nifti(tmp_path / "x.nii.gz" / "inner.nii.gz", DATA)
    assert "is a folder" in refusal(tmp_path / "x.nii.gz")


def test_pipes_sockets_and_devices_are_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.nii.gz")
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.fspath(tmp_path / "s.nii"))
        (tmp_path / "zero.nii").symlink_to("/dev/zero")
        for name in ("pipe.nii.gz", "pipe", "s.nii", "zero.nii"):
            assert "is a pipe, a socket or a device" in refusal(tmp_path / name)


def test_links_are_followed_once_and_those_that_lead_nowhere_are_told(tmp_path):
    real = write_nifti(tmp_path / "real.nii.gz", DATA)
    (tmp_path / "one.nii.gz").symlink_to(real.name)
    (tmp_path / "two.nii.gz").symlink_to("one.nii.gz")
    np.testing.assert_array_equal(open_scan(tmp_path / "two.nii.gz").volume.data, DATA)
    (tmp_path / "loop.nii.gz").symlink_to("loop.nii.gz")
    assert "leads back to itself" in refusal(tmp_path / "loop.nii.gz")
    (tmp_path / "lost.nii.gz").symlink_to("nowhere.nii.gz")
    assert "a file that is not there" in refusal(tmp_path / "lost.nii.gz")
    (tmp_path / "annexed.nii.gz").symlink_to(".git/annex/objects/1/2/SHA256E-s1--3.nii.gz")
    assert "git annex get" in refusal(tmp_path / "annexed.nii.gz")


@pytest.mark.parametrize("name", ["none.nii.gz", "x" * 5000 + ".nii", "a\0b.nii", "none/a.nii"])
def test_a_path_that_can_be_none_is_no_such_file(tmp_path, name):
    with pytest.raises(InputError, match="no such file"):
        open_scan(tmp_path / name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_told(tmp_path):
    path = write_nifti(tmp_path / "a.nii.gz", DATA)
    path.chmod(0)
    assert "permission denied" in refusal(path)
