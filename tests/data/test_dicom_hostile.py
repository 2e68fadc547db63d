"""Pipes, rings, bombs and absurd headers among DICOM files end in one line, within the budget."""

import os
import struct
import tracemalloc
import zipfile
import zlib
from contextlib import contextmanager

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate

from dicom_series import read_header, write_series
from helper import make_affine
from plgg.core.errors import InputError
from plgg.core.volume import Volume
from plgg.data.budget import scan_limit
from plgg.data.dicom import find, limits, zipped
from plgg.data.dicom.find import is_dicom
from plgg.data.dicom.read import read_dicom

SHAPE = (8, 6, 5)
AFFINE = make_affine((0.9, 0.9, 5.0), axes="LPS", shape=SHAPE)
VOLUME = Volume(np.arange(240, dtype=np.uint16).reshape(SHAPE), AFFINE)
MIB = 2**20


@contextmanager
def at_most(mib):
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < mib * MIB
    finally:
        tracemalloc.stop()


def refused(path, *, within_mib=64):
    with at_most(within_mib), pytest.raises(InputError) as caught:
        read_dicom(path)
    assert "\n" not in str(caught.value)
    assert caught.value.remedy
    return str(caught.value)


def altered(file, **tags):
    header = read_header(file)
    for keyword, value in tags.items():
        setattr(header, keyword, value)
    header.save_as(file)


@pytest.mark.timeout(200)
def test_a_pipe_and_rings_of_links_change_nothing(tmp_path):
    write_series(tmp_path / "s" / "deep", VOLUME)
    expected = read_dicom(tmp_path / "s")
    os.mkfifo(tmp_path / "s" / "pipe.dcm")
    (tmp_path / "s" / "ring").symlink_to(tmp_path / "s")
    (tmp_path / "s" / "deep" / "self").symlink_to(".")
    (tmp_path / "s" / "deep" / "twin").symlink_to(tmp_path / "s" / "deep")
    (tmp_path / "s" / "also.dcm").symlink_to(tmp_path / "s" / "deep" / expected.files[0][5:])
    assert is_dicom(tmp_path / "s")
    found = read_dicom(tmp_path / "s")
    np.testing.assert_array_equal(found.volume.data, expected.volume.data)
    assert (found.why, found.doubts) == (expected.why, ())
    os.mkfifo(tmp_path / "alone.dcm")
    assert not is_dicom(tmp_path / "alone.dcm")
    assert "neither a file nor a folder" in refused(tmp_path / "alone.dcm")


def test_names_that_are_no_utf_8_and_folders_far_down_are_read(tmp_path):
    folder = tmp_path / os.fsdecode(b"Schr\xf6der") / "/".join("abcdefghijkl")
    for file in write_series(folder, VOLUME):
        file.rename(folder / os.fsdecode(b"bild\xff" + os.fsencode(file.name)))
    assert is_dicom(tmp_path)
    assert read_dicom(tmp_path).volume.shape == SHAPE
    next(folder.iterdir()).write_bytes(b"")
    assert "of 5 (in order of name)" in refused(tmp_path)


def test_an_image_that_no_memory_holds_is_refused_by_its_header(tmp_path):
    write_series(tmp_path, VOLUME, tags={"Rows": 65535, "Columns": 65535})
    assert "65535×65535×5 voxels: 80 GiB unpacked, and at most 2 GiB" in refused(tmp_path)


@pytest.mark.parametrize("enhanced", [False, True])
def test_two_billion_frames_are_refused_by_the_header(tmp_path, enhanced):
    write_series(tmp_path, VOLUME, enhanced=enhanced, tags={"NumberOfFrames": 2 * 10**9})
    assert "GiB unpacked" in refused(tmp_path)


def test_an_absurd_series_beside_the_flair_is_passed_over(tmp_path):
    write_series(tmp_path / "flair", VOLUME)
    absurd = {"Rows": 65535, "Columns": 65535, "NumberOfFrames": 2 * 10**9}
    uids = [read_header(next((tmp_path / "flair").iterdir())).StudyInstanceUID, "1.2.3", "1.2.4"]
    write_series(tmp_path / "t1", VOLUME, description="T1", echo_ms=9.0, inversion_ms=None,
                 uids=uids, tags=absurd)  # fmt: skip
    with at_most(64):
        assert read_dicom(tmp_path).volume.shape == SHAPE


def test_a_frame_that_declares_another_size_than_its_header_is_refused(tmp_path):
    jpeg_ls = pytest.importorskip("jpeg_ls")
    bomb = bytes(jpeg_ls.encode_array(np.zeros((4000, 4000), np.uint16)))
    assert len(bomb) < 2000
    files = write_series(tmp_path, VOLUME, syntax="jpeg-ls")
    altered(files[0], PixelData=encapsulate([bomb]))
    assert "cannot be decoded" in refused(tmp_path, within_mib=16)


def test_a_deflated_file_that_inflates_beyond_the_budget_is_refused(tmp_path):
    file = write_series(tmp_path, VOLUME, syntax="deflated")[0]
    raw = file.read_bytes()
    at = 132 + 12 + struct.unpack_from("<I", raw, 140)[0]
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = bomb.compress(zlib.decompress(raw[at:], -15) + bytes(40 * MIB)) + bomb.flush()
    file.write_bytes(raw[:at] + packed)
    with scan_limit(30 / 1024):
        assert "inflates to more than 0.0293 GiB" in refused(tmp_path, within_mib=20)


def test_absurdly_many_items_are_counted_before_they_are_parsed(tmp_path):
    files = write_series(tmp_path, VOLUME)
    header = read_header(files[0])
    items = b"\xfe\xff\x00\xe0\x00\x00\x00\x00" * (limits.MOST_ITEMS + 1)
    header.add(pydicom.DataElement(0x00081140, "SQ", []))
    header.save_as(files[0])
    raw = files[0].read_bytes()
    at = raw.index(b"\x08\x00\x40\x11SQ")
    longer = struct.pack("<I", len(items))
    files[0].write_bytes(raw[: at + 8] + longer + items + raw[at + 12 :])
    assert "more than 500000 items" in refused(tmp_path)


@pytest.mark.parametrize("depth", [50, 3000])
def test_sequences_in_sequences_are_read_or_refused(tmp_path, depth):
    file = write_series(tmp_path, VOLUME, enhanced=True)[0]
    raw = file.read_bytes()
    at = raw.index(b"\x00\x52\x30\x92SQ")
    start = b"\x00\x52\x29\x92SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    stop = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"
    file.write_bytes(raw[:at] + start * depth + stop * depth + raw[at:])
    try:
        assert read_dicom(tmp_path).volume.shape == SHAPE
    except InputError as error:
        assert "\n" not in str(error)  # noqa: PT017 - either outcome is right


def zip_of(path, members, kind=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def contents(folder):
    return [(file.name, file.read_bytes()) for file in sorted(folder.iterdir())]


@pytest.fixture
def members(tmp_path):
    write_series(tmp_path / "s", VOLUME)
    return contents(tmp_path / "s")


def test_a_zip_that_unpacks_to_far_more_is_refused_unopened(tmp_path, members):
    bomb = members[0][1] + bytes(40 * MIB)
    path = zip_of(tmp_path / "z.zip", [*members[1:], ("bomb.dcm", bomb)])
    del bomb
    assert path.stat().st_size < MIB
    assert is_dicom(path)
    with scan_limit(30 / 1024):
        assert "GiB unpacked, and at most" in refused(path, within_mib=8)


@pytest.mark.parametrize("kind", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_packing_without_bounds_is_refused(tmp_path, members, kind):
    path = zip_of(tmp_path / "z.zip", members, kind)
    assert is_dicom(path)
    assert "packed in another way than by deflate" in refused(path, within_mib=8)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_odd_names_in_a_zip_are_only_names(tmp_path, members):
    names = ["../../up.dcm", "/abs.dcm", "a\\b.dcm", "x" * 60000, "x" * 60000]
    named = [(name, content) for name, (_, content) in zip(names, members, strict=True)]
    path = zip_of(tmp_path / "z.zip", [*named, ("._x.dcm", b"junk"), ("notes.txt", b"n")])
    before = sorted(tmp_path.parent.rglob("*"))
    assert read_dicom(path).volume.shape == SHAPE
    assert sorted(tmp_path.parent.rglob("*")) == before


def test_too_many_files_or_members_are_refused(tmp_path, members, monkeypatch):
    path = zip_of(tmp_path / "z.zip", members)
    monkeypatch.setattr(find, "_MOST_FILES", 4)
    assert "more than 4 files" in refused(path)
    assert "more than 4 files" in refused(tmp_path / "s")
    monkeypatch.setattr(zipped, "_LARGEST_DIRECTORY_BYTES", 100)
    assert "list of members" in refused(path)


def test_an_encrypted_or_damaged_member_is_called_that(tmp_path, members):
    path = zip_of(tmp_path / "z.zip", members, zipfile.ZIP_STORED)
    raw = path.read_bytes()
    at = raw.index(b"PK\x01\x02")
    path.write_bytes(raw[: at + 8] + b"\x01" + raw[at + 9 :])
    assert is_dicom(path)
    assert "file 1 of 5 (in order of name) in the zip is encrypted" in refused(path)
    for place in (at + 24, at + 16):  # Size and checksum in the directory.
        path.write_bytes(raw[:place] + bytes([raw[place] ^ 5]) + raw[place + 1 :])
        assert "in the zip is damaged" in refused(path)
    for keep in (10, at // 2, at + 20, len(raw) - 4):
        path.write_bytes(raw[:keep])
        assert "is not a zip" in refused(path)
