"""Arrays of a store: a plain array of the expected kind is read, all else is one clear line."""

import os

import blosc2
import numpy as np
import pytest

from plgg.core.errors import StoreError
from plgg.data.store_arrays import read_array

SHAPE = (20, 33, 5)


@pytest.fixture(scope="module")
def codes():
    return np.random.default_rng(0).integers(-128, 128, SHAPE).astype(np.int8)


def written(path, data, **options):
    return blosc2.asarray(data, urlpath=str(path), mode="w", **options)


def read(path):
    return read_array(path, dtype=np.int8, shape=SHAPE)


def test_a_plain_array_is_read_whole_and_in_part(tmp_path, codes):
    written(tmp_path / "a.b2nd", codes, chunks=(20, 32, 5), blocks=(20, 32, 5))
    np.testing.assert_array_equal(read(tmp_path / "a.b2nd"), codes)
    box = (slice(1, 4), slice(30, 33), slice(0, 5))
    found = read_array(tmp_path / "a.b2nd", dtype=np.int8, shape=SHAPE, box=box)
    np.testing.assert_array_equal(found, codes[box])


def lazy_expression(array, path):
    (array + 1).save(urlpath=path)


def lazy_function(array, path):
    blosc2.lazyudf(_run_on_opening, (array,), np.int8).save(urlpath=path)


def _run_on_opening(*_):
    raise AssertionError("code of the file ran")


CRAFTED = {
    "expression": lazy_expression,
    "function": lazy_function,
    "proxy": lambda array, path: blosc2.Proxy(array, urlpath=path, mode="w"),
    "bytes": lambda _, path: blosc2.SChunk(data=b"x" * 64, urlpath=path, mode="w"),
    "type": lambda array, path: written(path, array[:].astype(np.int16)),
    "unsigned": lambda array, path: written(path, array[:].view(np.uint8)),
    "fields": lambda _, path: written(path, np.zeros(SHAPE, dtype=[("a", "i1")])),
    "sides": lambda array, path: written(path, np.swapaxes(array[:], 0, 1).copy()),
    "flat": lambda array, path: written(path, array[:].ravel()),
    "huge": lambda _, path: blosc2.zeros(
        (10**5, 10**5, 10**3), dtype=np.int8, urlpath=path, mode="w"
    ),
}


@pytest.mark.parametrize("kind", CRAFTED)
def test_anything_else_is_refused_before_a_voxel_is_read(tmp_path, codes, kind):
    array = written(tmp_path / "operand.b2nd", codes)
    CRAFTED[kind](array, str(tmp_path / "a.b2nd"))
    with pytest.raises(StoreError, match=r"a\.b2nd: .*preprocess again"):
        read(tmp_path / "a.b2nd")


def test_what_is_no_file_is_refused(tmp_path):
    (tmp_path / "folder.b2nd").mkdir()
    os.mkfifo(tmp_path / "fifo.b2nd")
    (tmp_path / "text.b2nd").write_text("no array")
    (tmp_path / "empty.b2nd").touch()
    for name in ("folder", "fifo", "text", "empty", "missing"):
        with pytest.raises(StoreError):
            read(tmp_path / f"{name}.b2nd")


def test_altered_bytes_give_an_array_of_that_shape_or_a_clear_line(tmp_path, codes):
    path = tmp_path / "a.b2nd"
    written(path, codes, chunks=(20, 32, 5), blocks=(20, 32, 5))
    whole = path.read_bytes()
    rng = np.random.default_rng(1)
    for turn in range(60):
        altered = bytearray(whole)
        altered[rng.integers(len(whole))] ^= 1 << rng.integers(8)
        end = rng.integers(1, len(whole)) if turn % 4 == 0 else len(whole)
        path.write_bytes(bytes(altered[:end]))
        assert outcome(path) in (SHAPE, "preprocess again")


def outcome(path):
    try:
        return read(path).shape
    except StoreError as error:
        return "preprocess again" if "preprocess again" in str(error) else str(error)
