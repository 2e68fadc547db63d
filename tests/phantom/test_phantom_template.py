"""The built-in template on the SRI24 grid, against the atlas itself where that is at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from plgg.core.volume import apply_affine
from plgg.data.atlas.grid import AFFINE, SHAPE
from plgg.data.atlas.template import mni_to_sri24, template_brain, template_map
from plgg.data.nifti.image import read_volume
from plgg.phantom.grid import head_box


def test_maps_are_shares_and_cannot_be_written_to():
    grey, white = template_map("grey"), template_map("white")
    assert grey.shape == white.shape == template_map("t1").shape
    assert float((grey.data + white.data).max()) <= 1.0 + 1e-6
    with pytest.raises(ValueError, match="read-only"):
        grey.data[0, 0, 0] = 1


def test_right_is_right_and_up_is_up():
    origin, right, front, top = apply_affine(
        mni_to_sri24(), np.array([[0, 0, 0], [10, 0, 0], [0, 10, 0], [0, 0, 10]])
    )
    assert (right - origin)[0] > 8
    assert (front - origin)[1] > 8
    assert (top - origin)[2] > 8


def test_brain_lies_inside_the_head_box():
    brain = template_brain(SHAPE, AFFINE).data > 0
    outside = brain.copy()
    outside[head_box()] = False
    assert brain.sum() / 1e6 == pytest.approx(1.45, abs=0.05)
    assert not outside.any()


@pytest.mark.real
def test_brain_agrees_with_the_atlas(shared_data: Path):
    atlas = read_volume(shared_data / "sri24" / "tissues.nii.gz")
    brain = template_brain(atlas.shape, atlas.affine).data > 0
    truth = atlas.data > 0
    dice = 2 * (brain & truth).sum() / (brain.sum() + truth.sum())
    assert dice > 0.965
