"""Which scans lose their skull, what is refused, and that a brain does not depend on its grid."""

import csv
import importlib.util
import sys

import numpy as np
import pytest

from helper import ODD_AFFINES, SHAPE, blob_brain, make_affine, world_points
from plgg.core.errors import ConfigError, InputError
from plgg.core.volume import Volume, apply_affine
from plgg.data.nifti.image import read_volume
from plgg.preprocess.brain_extraction import brain_mask, find_brain
from plgg.preprocess.resample import resample


def head_phantom(affine=None):
    """A grey brain in a dark skull under a bright scalp, in noisy air."""
    affine = make_affine((5.5, 5.5, 6.5)) if affine is None else affine
    radius = np.linalg.norm(world_points(SHAPE, affine) / (62.0, 78.0, 58.0), axis=-1)
    head = np.select([radius <= 1.0, radius <= 1.2, radius <= 1.28], [100.0, 6.0, 150.0], 0.0)
    noise = np.random.default_rng(1).uniform(1.0, 5.0, SHAPE)
    return Volume((head + noise).astype(np.float32), affine)


def dice(a, b):
    return 2.0 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


@pytest.mark.parametrize("name", ODD_AFFINES)
@pytest.mark.parametrize("background", [0.0, -3.5])
def test_a_stripped_scan_keeps_its_own_outline(name, background):
    flair, _ = blob_brain(affine=ODD_AFFINES[name])
    shifted = flair.with_data(flair.data + np.float32(background))
    for engine in ("auto", "none"):
        stripped = find_brain(shifted, engine)
        assert stripped.engine == "none"
        assert "outside the brain" in stripped.why
        np.testing.assert_array_equal(stripped.brain, flair.data != 0)


def test_dark_fluid_stored_as_background_belongs_to_the_brain():
    flair, _ = blob_brain()
    data = flair.data.copy()
    data[16:20, 18:22, 14:18] = 0.0
    np.testing.assert_array_equal(find_brain(flair.with_data(data)).brain, flair.data != 0)


def test_a_raw_head_is_refused_where_it_is_said_to_be_stripped():
    with pytest.raises(InputError, match=r"looks like a raw head \(.*stripping: auto"):
        find_brain(head_phantom(), "none")


def test_what_holds_no_head_is_refused():
    with pytest.raises(InputError, match="nothing but background"):
        find_brain(Volume(np.zeros(SHAPE, np.float32), np.eye(4)))
    with pytest.raises(InputError, match="no head"):
        find_brain(Volume(np.zeros(SHAPE, np.float32), np.eye(4)), "deepbet")


@pytest.mark.skipif(importlib.util.find_spec("HD_BET") is not None, reason="HD-BET is installed")
def test_an_engine_that_is_not_installed_is_named_with_what_installs_it():
    out = sys.stdout
    with pytest.raises(ConfigError, match=r'pip install "plgg\[hdbet\]"'):
        find_brain(head_phantom(), "hd-bet")
    assert sys.stdout is out


@pytest.mark.real
@pytest.mark.slow
def test_a_brain_does_not_depend_on_how_the_head_lies(shared_data, capfd):
    flair = read_volume(shared_data / "raw-flair" / "patient20_study2_FLAIR.nii.gz")
    found = find_brain(flair)
    assert found.engine == "deepbet"
    assert "dark as bone" in found.why
    assert 900 < found.brain.sum() * flair.voxel_volume_ml < 1800
    # Sagittal, oblique, in a wide field of view: a head that deepbet alone loses.
    other = _laid_anew(flair, (3.0, 1.2, 1.0), axes="PSR", turn_degrees=(12.0, -7.0, 20.0))
    again = find_brain(other)
    assert again.engine == "deepbet"
    native_from_other = np.linalg.solve(other.affine, flair.affine)
    back = resample(again.brain, native_from_other, flair.shape) >= 0.5
    assert dice(back, found.brain) > 0.97
    assert capfd.readouterr() == ("", "")


def _laid_anew(flair, spacing_mm, **lie):
    """The same head on another grid of 260 mm around its centre."""
    shape = tuple(int(np.ceil(260.0 / step)) for step in spacing_mm)
    affine = make_affine(spacing_mm, shape=shape, **lie)
    affine[:3, 3] += apply_affine(flair.affine, (np.array(flair.shape) - 1) / 2)
    return Volume(resample(flair.data, np.linalg.solve(flair.affine, affine), shape), affine)


@pytest.mark.real
def test_real_scans_that_are_stripped_stay_as_they_are(shared_data):
    cohort = shared_data / "tcga-lgg"
    with (cohort / "manifest.csv").open() as lines:
        paths = [cohort / row["flair"] for row in csv.DictReader(lines)]
    for path in [*paths[::8], *sorted((shared_data / "brats2013").glob("*/Flair*.nii.gz"))]:
        flair = read_volume(path)
        stripped = find_brain(flair)
        assert stripped.engine == "none", path.name
        outside = flair.data[0, 0, 0]
        np.testing.assert_array_equal(stripped.brain, brain_mask(flair.data != outside))


@pytest.mark.real
@pytest.mark.slow
def test_deepbet_finds_whole_brains_in_all_raw_heads(shared_data):
    for path in sorted((shared_data / "raw-flair").glob("*.nii.gz")):
        flair = read_volume(path)
        stripped = find_brain(flair)
        assert stripped.engine == "deepbet", path.name
        assert 900 < stripped.brain.sum() * flair.voxel_volume_ml < 1800, path.name


@pytest.mark.real
@pytest.mark.slow
# deepbet alone lost 17 %, 7 %, 5 % and 4 % of these tumours.
@pytest.mark.parametrize("name", ["CS_6666", "DU_5855", "HT_7473", "FG_A4MU"])
def test_stripping_does_not_cut_a_tumour(shared_data, name):
    images = shared_data / "tcga-lgg" / "images"
    flair = read_volume(images / f"TCGA_{name}_flair.nii.gz")
    tumour = read_volume(images / f"TCGA_{name}_mask.nii.gz").data > 0
    brain = find_brain(flair, "deepbet").brain
    assert np.count_nonzero(tumour & ~brain) < 0.01 * np.count_nonzero(tumour)
