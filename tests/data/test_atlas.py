"""The atlas: laws of its grid, sources that are one atlas, refusals."""

import re

import nibabel as nib
import numpy as np
import pytest

from helper import write_nifti
from plgg.core.errors import InputError
from plgg.core.volume import apply_affine
from plgg.data.atlas.atlas import SRI24_SHA256, load_atlas
from plgg.data.atlas.download import ARCHIVES
from plgg.data.atlas.grid import AFFINE, BRAIN_CENTRE_MM, SHAPE
from plgg.data.atlas.template import template_brain

LAS = np.diag([-1.0, 1.0, 1.0, 1.0])


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def ellipsoid(affine=AFFINE, shape=SHAPE, *, centre=BRAIN_CENTRE_MM, scale=1.0):
    """Squared distance from a brain's centre, 1 at the surface of its 1,389 mL."""
    grid = np.ogrid[tuple(slice(n) for n in shape)]
    return sum(
        np.square((sum((row[a] * grid[a] for a in range(3)), row[3]) - middle) / (scale * radius))
        for row, middle, radius in zip(affine, centre, (65.0, 85.0, 60.0), strict=False)
    )


@pytest.fixture(scope="module")
def maps():
    """A T1 that is unlike in every voxel, and tissues in shells, both on SRI24's own grid."""
    far = ellipsoid()
    tissues = np.select([far <= 0.3, far <= 0.7, far <= 1.0], [3, 2, 1], 0).astype(np.uint8)
    noise = np.random.default_rng(0).integers(1, 1000, SHAPE, dtype=np.int16)
    return noise, tissues


def write_sri24(folder, maps, *, suffix=".nii", las=True):
    """The two files as published: stored LAS and 4-D, or as BraTS lays them."""
    for name, data in zip(("spgr", "tissues"), maps, strict=True):
        stored = data[:, ::-1, :, None] if las else data
        write_nifti(folder / f"{name}{suffix}", stored, LAS if las else AFFINE)
    return folder


@pytest.fixture(scope="module")
def published(tmp_path_factory, maps):
    return write_sri24(tmp_path_factory.mktemp("published"), maps)


def refused(where):
    with pytest.raises(InputError) as caught:
        load_atlas(where)
    assert "\n" not in str(caught.value)
    assert str(where) in str(caught.value)
    assert caught.value.remedy
    return str(caught.value)


def obeys_the_laws(atlas):
    assert atlas.image.shape == atlas.brain.shape == SHAPE
    np.testing.assert_array_equal(atlas.image.affine, AFFINE)
    assert atlas.image.data.dtype == np.float32
    assert atlas.brain.dtype == np.bool_
    assert not atlas.image.data[~atlas.brain].any()
    assert len(atlas.sha256) == 64
    shares = [share for share in (atlas.grey, atlas.white, atlas.csf) if share is not None]
    for share in shares:
        assert (share.shape, share.dtype) == (SHAPE, np.float32)
        assert 0.0 <= share.min() <= share.max() <= 1.0
        assert not share[~atlas.brain].any()
    for array in (atlas.image.data, atlas.brain, *shares):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0, 0] = 1
    return True


def test_the_built_in_atlas_is_the_template_with_its_tissues():
    atlas = load_atlas()
    assert obeys_the_laws(atlas)
    assert (atlas.name, atlas.source) == ("built-in", "built-in")
    template = template_brain(SHAPE, AFFINE).data
    np.testing.assert_array_equal(atlas.brain, template > 0)
    np.testing.assert_allclose(atlas.image.data, template, atol=1 / 8192 + 1e-6)
    shares = atlas.grey + atlas.white + atlas.csf
    assert (shares[atlas.brain] > 0.999).all()
    assert 1400 < atlas.brain.sum() / 1000 < 1500
    white, grey = (atlas.image.data[share > 0.8].mean() for share in (atlas.white, atlas.grey))
    assert white > grey > atlas.image.data[atlas.csf > 0.8].mean()


def test_an_atlas_is_loaded_once():
    assert load_atlas("built-in") is load_atlas()


def test_sri24_in_a_folder_is_laid_on_the_grid_voxel_for_voxel(published, maps):
    atlas = load_atlas(published)
    assert obeys_the_laws(atlas)
    assert (atlas.name, atlas.source) == (published.name, str(published))
    t1, tissues = maps
    np.testing.assert_array_equal(atlas.brain, tissues > 0)
    np.testing.assert_array_equal(atlas.image.data, np.where(tissues > 0, t1, 0))
    for kind, share in ((1, atlas.csf), (2, atlas.grey), (3, atlas.white)):
        np.testing.assert_array_equal(share, tissues == kind)


def test_one_atlas_has_one_hash_however_it_is_stored(published, tmp_path, maps):
    first = load_atlas(published)
    for folder in (
        write_sri24(tmp_path / "lps", maps, suffix=".nii.gz", las=False),
        write_sri24(tmp_path / "unpacked" / "sri24", maps).parent,
    ):
        again = load_atlas(folder)
        assert again.sha256 == first.sha256
        assert again.source == str(folder)
        np.testing.assert_array_equal(again.image.data, first.image.data)
    t1, tissues = maps
    t1 = t1.copy()
    t1[tuple(np.argwhere(tissues == 3)[0])] += 1
    assert load_atlas(write_sri24(tmp_path / "other", (t1, tissues))).sha256 != first.sha256


def test_a_stripped_template_is_an_atlas_without_tissues(tmp_path, published, maps):
    t1, tissues = maps
    stripped = np.where(tissues > 0, t1, 0)
    stripped[ellipsoid(scale=0.2) <= 1] = 0  # A ventricle that is black.
    atlas = load_atlas(write_nifti(tmp_path / "mine.v2.nii.gz", stripped, AFFINE))
    assert obeys_the_laws(atlas)
    assert atlas.name == "mine.v2"
    assert atlas.grey is atlas.white is atlas.csf is None
    np.testing.assert_array_equal(atlas.brain, tissues > 0)
    np.testing.assert_array_equal(atlas.image.data, stripped)
    assert atlas.sha256 != load_atlas(published).sha256


def test_a_template_on_its_own_grid_is_resampled(tmp_path, maps):
    affine = AFFINE @ np.diag([2.0, 2.0, 2.0, 1.0])
    coarse = (ellipsoid(affine, (120, 120, 78)) <= 1).astype(np.float32)
    atlas = load_atlas(write_nifti(tmp_path / "coarse.nii.gz", coarse * 7, affine))
    assert obeys_the_laws(atlas)
    assert dice(atlas.brain, maps[1] > 0) > 0.98


def test_what_is_not_a_number_counts_as_outside(tmp_path, maps):
    data = np.where(maps[1] > 0, 5.0, np.nan).astype(np.float32)
    atlas = load_atlas(write_nifti(tmp_path / "a.nii", data, AFFINE))
    np.testing.assert_array_equal(atlas.image.data, np.where(maps[1] > 0, 5, 0))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"centre": BRAIN_CENTRE_MM + np.array([0, 40, 0])}, "40 mm from"),
        ({"centre": (0.0, 0.0, 0.0)}, "176 mm from"),
        ({"scale": 0.8}, "has 71. mL"),
        ({"scale": 1.2}, "has 240. mL"),
    ],
)
def test_a_template_of_another_space_is_refused(tmp_path, options, told):
    affine = np.diag([-4.0, -4.0, 4.0, 1.0])
    affine[:3, 3] = np.add(options.get("centre", BRAIN_CENTRE_MM), (140.0, 140.0, -140.0))
    brain = (ellipsoid(affine, (71, 71, 71), **options) <= 1).astype(np.uint8)
    message = refused(write_nifti(tmp_path / "a.nii.gz", brain, affine))
    assert "does not lie in SRI24's space" in message
    assert re.search(told, message)


def test_bad_paths_are_refused_in_one_line(tmp_path):
    assert "no such atlas" in refused(tmp_path / "none")
    assert "no such atlas" in refused(tmp_path / "none.nii.gz")
    (tmp_path / "loop").symlink_to("loop")
    for name in ("x" * 5000, "loop"):
        assert "no such atlas" in refused(tmp_path / name)
    (tmp_path / "a.txt").write_text("atlas")
    assert "no NIfTI" in refused(tmp_path / "a.txt")
    (tmp_path / "junk.nii.gz").write_bytes(b"junk")
    assert "is text, not an image" in refused(tmp_path / "junk.nii.gz")
    assert "empty" in refused(write_nifti(tmp_path / "b.nii", np.zeros((3, 3, 3))))
    assert "shape (3, 3)" in refused(write_nifti(tmp_path / "c.nii", np.ones((3, 3))))
    assert "shape" in refused(write_nifti(tmp_path / "d.nii", np.ones((3, 3, 3, 2))))


def test_a_folder_without_both_maps_is_refused(tmp_path, published):
    for name in (None, "late.nii.gz", "spgr.nii"):
        if name:
            (tmp_path / name).write_bytes(b"")
        message = refused(tmp_path)
        assert "looked for spgr and tissues (.nii or .nii.gz)" in message
        assert "--atlas" in message
    assert (published / "spgr.nii").is_file()


def test_a_map_of_tissues_with_other_values_is_refused(tmp_path, maps):
    message = refused(write_sri24(tmp_path / "a", (maps[0], maps[1] * 50)).resolve())
    assert "tissues.nii" in message


@pytest.mark.parametrize("shift_mm", [(60.0, 0.0, 0.0), (900.5, 0.0, 0.0)])
def test_maps_that_do_not_lie_in_one_place_are_refused(tmp_path, maps, shift_mm):
    affine = AFFINE.copy()
    affine[:3, 3] += shift_mm
    write_nifti(tmp_path / "tissues.nii", maps[1], AFFINE)
    write_nifti(tmp_path / "spgr.nii", np.where(maps[1] > 0, maps[0], 0), affine)
    assert "not of one atlas" in refused(tmp_path)


@pytest.mark.real
def test_the_real_sri24_is_known_and_the_built_in_brain_is_like_its_own(shared_data):
    atlas = load_atlas(shared_data / "sri24")
    assert obeys_the_laws(atlas)
    assert (atlas.name, atlas.sha256) == ("SRI24", SRI24_SHA256)
    stored = np.asanyarray(nib.load(shared_data / "sri24" / "spgr.nii.gz").dataobj)[..., 0]
    np.testing.assert_array_equal(atlas.image.data, stored[:, ::-1])
    centre = apply_affine(AFFINE, np.argwhere(atlas.brain)).mean(axis=0)
    np.testing.assert_allclose(centre, BRAIN_CENTRE_MM, atol=0.1)
    white, grey, csf = (
        atlas.image.data[share == 1].mean() for share in (atlas.white, atlas.grey, atlas.csf)
    )
    assert white > 1.3 * grey > 1.3 * 1.3 * csf
    assert dice(load_atlas().brain, atlas.brain) == pytest.approx(0.972, abs=0.001)


@pytest.mark.real
def test_the_real_sri24_in_the_cache_passes_the_check(shared_data, tmp_path, monkeypatch):
    (tmp_path / "sri24").mkdir()
    for archive in ARCHIVES:
        image = nib.load(shared_data / "sri24" / f"{archive.member}.gz")
        nib.save(image, tmp_path / "sri24" / archive.member)
    monkeypatch.setenv("PLGG_CACHE", str(tmp_path))
    atlas = load_atlas("sri24")
    assert (atlas.name, atlas.source, atlas.sha256) == ("SRI24", "sri24", SRI24_SHA256)
