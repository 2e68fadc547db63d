"""Files are read once and in pieces, as far as their header goes, with checksums verified."""

import gzip
import hashlib
import tracemalloc
import zlib

import nibabel as nib
import numpy as np
import pytest

from helper import write_nifti
from plgg.core.errors import InputError
from plgg.core.unpack import unpacking
from plgg.data.nifti.image import read_nifti

DATA = np.random.default_rng(0).integers(0, 1000, (20, 30, 40)).astype(np.int16)
ZEROS = bytes(2**20)


@pytest.fixture
def raw():
    return nib.Nifti1Image(DATA, np.eye(4)).to_bytes()


def put(path, content):
    path.write_bytes(content)
    return path


def refusal(path):
    with pytest.raises(InputError) as caught:
        read_nifti(path)
    return caught.value.what


def bomb(head, *, mebibytes):
    """A gzip of a header and zeros, made without holding them."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = [packer.compress(head)]
    packed += [packer.compress(ZEROS) for _ in range(mebibytes)]
    return b"".join([*packed, packer.flush()])


def header(shape):
    made = nib.Nifti1Header()
    made.set_data_dtype(np.int16)
    made.set_data_shape(shape)
    made["vox_offset"], made["magic"] = 352, b"n+1"
    made.set_sform(np.eye(4), code=1)
    return made.binaryblock + bytes(4)


@pytest.mark.parametrize("shape", [(1000, 1000, 1000), (10, 10, 10)])
def test_a_bomb_costs_no_memory_whatever_its_header_says(tmp_path, shape):
    path = put(tmp_path / "a.nii.gz", bomb(header(shape), mebibytes=300))
    assert path.stat().st_size < 2**20
    tracemalloc.start()
    what = refusal(path)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "at most 2 GiB" in what if shape[0] > 10 else "far larger than the image" in what
    assert most < 30 * 2**20


def test_a_large_scan_takes_little_more_than_its_voxels(tmp_path):
    path = put(tmp_path / "a.nii.gz", bomb(header((256, 256, 256)), mebibytes=32))
    tracemalloc.start()
    volume = read_nifti(path).volume
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < volume.data.nbytes + 30 * 2**20


def test_a_header_that_promises_more_than_there_is_is_truncated(tmp_path, raw):
    for name, content in (("a.nii", raw[:-1]), ("a.nii.gz", gzip.compress(raw[:-1]))):
        assert "is truncated: its header declares 48352 bytes, and it holds 48351" in refusal(
            put(tmp_path / name, content)
        )
    sparse = put(tmp_path / "b.nii.gz", gzip.compress(header((900, 900, 600))))
    assert "is truncated" in refusal(sparse)


def test_several_members_are_one_file(tmp_path, raw):
    """As bgzip and pigz write them, with padding between and after."""
    parts = [gzip.compress(raw[first : first + 7000]) for first in range(0, len(raw), 7000)]
    for joint, end in ((b"", bytes(2**20 - 999)), (gzip.compress(b""), b""), (bytes(512), b"\0")):
        path = put(tmp_path / "a.nii.gz", joint.join(parts) + end)
        found = read_nifti(path)
        np.testing.assert_array_equal(found.volume.data, DATA)
        assert found.doubts == ()
        assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("rest", [b"x", b"\x1f", b"\0\0garbage" * 100])
def test_what_follows_is_told_and_not_read(tmp_path, raw, rest):
    for name, content in (
        ("a.nii", raw + rest),
        ("a.nii.gz", gzip.compress(raw) + rest),
        ("b.nii.gz", gzip.compress(raw + rest)),
    ):
        path = put(tmp_path / name, content)
        found = read_nifti(path)
        np.testing.assert_array_equal(found.volume.data, DATA)
        assert found.doubts == ("something follows its image that was not read",)
        assert found.sha256 == hashlib.sha256(content).hexdigest()


def test_a_file_far_larger_than_its_image_is_refused(tmp_path, raw):
    for name, content in (("a.nii", raw), ("a.nii.gz", gzip.compress(raw))):
        path = put(tmp_path / name, content)
        with path.open("ab") as handle:
            handle.truncate(2**40)  # sparse: nobody would hash that in time
        assert "far larger" in refusal(path)


@pytest.mark.parametrize("at", [-8, -5, -4, -1, 200, 5000])
def test_every_checksum_is_verified(tmp_path, raw, at):
    packed = bytearray(gzip.compress(raw, mtime=0))
    packed[at] ^= 1
    assert "is damaged" in refusal(put(tmp_path / "a.nii.gz", packed))


@pytest.mark.parametrize("cut", [1, 4, 8, 9, 100, 20000])
def test_a_compressed_file_that_ends_early_is_truncated(tmp_path, raw, cut):
    assert "is truncated" in refusal(put(tmp_path / "a.nii.gz", gzip.compress(raw)[:-cut]))


def test_extensions_between_header_and_voxels_are_passed_over(tmp_path):
    image = nib.Nifti1Image(DATA, np.eye(4))
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"x" * 100_000))
    for name in ("a.nii", "a.nii.gz"):
        nib.save(image, tmp_path / name)
        np.testing.assert_array_equal(read_nifti(tmp_path / name).volume.data, DATA)


def test_the_hash_is_that_of_the_file(tmp_path):
    for name in ("a.nii", "a.nii.gz"):
        path = write_nifti(tmp_path / name, DATA)
        assert read_nifti(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_bytes_come_in_the_pieces_that_are_asked_for(tmp_path):
    content = np.random.default_rng(0).bytes(100_000)
    for name, stored in (("a", content), ("b", gzip.compress(content))):
        with unpacking(put(tmp_path / name, stored)) as source:
            pieces = [source.read(777) for _ in range(100)]
            assert {len(piece) for piece in pieces} == {777}
            assert b"".join(pieces) + source.read(10**6) == content
            assert source.read(1) == b""
            assert source.sha256() == hashlib.sha256(stored).hexdigest()
