"""Picture slices come through the same guards as scans: regular files, a budget, one line."""

import os

import numpy as np
import pytest
from PIL import Image

from plgg.core.errors import InputError
from plgg.data.budget import scan_limit
from plgg.data.layouts.kaggle_lgg import list_slices, read_stack


@pytest.fixture
def folder(tmp_path):
    for number in (1, 2, 3):
        pixels = np.full((8, 6, 3), number, dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"scan_{number}.tif")
    return tmp_path


def refusal(folder):
    with pytest.raises(InputError) as caught:
        read_stack(list_slices(folder).images, channel=1)
    assert "\n" not in str(caught.value)
    return caught.value.what


def test_slices_within_the_budget_are_read(folder):
    volume = read_stack(list_slices(folder).images, channel=1)
    assert volume.shape == (6, 8, 3)
    assert [int(plane) for plane in volume.data[0, 0]] == [1, 2, 3]


@pytest.mark.parametrize("limit", [100, 143, 200])
def test_a_slice_or_a_stack_over_the_budget_is_refused_unread(folder, limit):
    with scan_limit(limit / 2**30):
        if limit < 144:
            assert "6×8×3 voxels" in refusal(folder)
        else:
            read_stack(list_slices(folder).images, channel=1)


def test_what_is_no_regular_file_is_not_opened(folder):
    (folder / "scan_2.tif").unlink()
    os.mkfifo(folder / "scan_2.tif")
    with pytest.raises(InputError, match="is a pipe"):
        read_stack({1: folder / "scan_1.tif", 2: folder / "scan_2.tif"})


@pytest.mark.parametrize("cut", [0, 4, 20, 100])
def test_a_damaged_slice_is_one_line(folder, cut):
    path = folder / "scan_2.tif"
    path.write_bytes(path.read_bytes()[:cut])
    assert "cannot be read as a picture" in refusal(folder)
