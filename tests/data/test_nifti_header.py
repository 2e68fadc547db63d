"""What a NIfTI header leaves in doubt is told, what it does not say is not made up."""

import struct

import nibabel as nib
import numpy as np
import pytest

from helper import ODD_AFFINES
from plgg.core.errors import InputError
from plgg.data.budget import scan_limit
from plgg.data.nifti.image import read_nifti, read_volume

DATA = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
OBLIQUE = ODD_AFFINES["oblique-lps"]
UNITS, PIXDIM, QUATERNION, SFORM = 123, 80, 256, 280


def written(path, affine=OBLIQUE, *, sform=1, qform=1):
    image = nib.Nifti1Image(DATA, None)
    image.set_sform(affine, code=sform)
    image.set_qform(affine, code=qform)
    image.header.set_xyzt_units("mm")
    nib.save(image, path)
    return path


def patched(path, offset, layout, *values):
    raw = bytearray(path.read_bytes())
    struct.pack_into(layout, raw, offset, *values)
    path.write_bytes(raw)
    return path


def refusal(path):
    with pytest.raises(InputError) as caught:
        read_nifti(path)
    return caught.value.what


@pytest.mark.parametrize("byte", [4, 5, 6, 7, 58, 64, 130, 255])
def test_a_unit_that_is_none_is_read_as_mm_and_told(tmp_path, byte):
    found = read_nifti(patched(written(tmp_path / "a.nii"), UNITS, "<B", byte))
    np.testing.assert_allclose(found.volume.affine, OBLIQUE, atol=1e-4)
    assert found.doubts == (f"its unit (xyzt_units {byte}) is none of the standard's: read as mm",)


@pytest.mark.parametrize("byte", [0, 2, 8, 10, 18, 26, 34, 42, 50])
def test_a_unit_of_the_standard_is_no_doubt(tmp_path, byte):
    assert read_nifti(patched(written(tmp_path / "a.nii"), UNITS, "<B", byte)).doubts == ()


NO_SIZE = [(0, 0, 0), (1, 1, 0), (-1, 1, 1), (float("nan"), 1, 1), (1, float("inf"), 1)]


@pytest.mark.parametrize("sizes", NO_SIZE)
@pytest.mark.parametrize("codes", [(0, 1), (0, 0)])
def test_a_voxel_size_that_is_not_there_is_not_made_up(tmp_path, sizes, codes):
    path = written(tmp_path / "a.nii", sform=codes[0], qform=codes[1])
    patched(path, PIXDIM, "<3f", *sizes)
    assert "voxel size is unknown" in refusal(path)


@pytest.mark.parametrize("sizes", NO_SIZE)
@pytest.mark.parametrize("qform", [0, 1])
def test_with_a_sform_a_missing_pixdim_is_only_told(tmp_path, sizes, qform):
    path = patched(written(tmp_path / "a.nii", qform=qform), PIXDIM, "<3f", *sizes)
    found = read_nifti(path)
    np.testing.assert_allclose(found.volume.affine, OBLIQUE, atol=1e-4)
    assert ["is no voxel size" in doubt for doubt in found.doubts] == [True]


@pytest.mark.parametrize(
    "rows",
    [[0.0] * 12, [float("nan")] * 12, [5.0, 5.0, 0.0, 0.0] * 2 + [0.0, 0.0, 5.0, 0.0]],
)
def test_a_sform_that_is_no_affine_gives_way_to_a_sound_qform(tmp_path, rows):
    path = patched(written(tmp_path / "a.nii"), SFORM, "<12f", *rows)
    found = read_nifti(path)
    np.testing.assert_allclose(found.volume.affine, OBLIQUE, atol=1e-3)
    assert found.doubts == ("its sform is no affine, and the qform was taken",)
    assert refusal(patched(written(tmp_path / "b.nii", qform=0), SFORM, "<12f", *rows))
    patched(path, PIXDIM, "<3f", 0.0, 0.0, 0.0)
    assert refusal(path)


@pytest.mark.parametrize(("factor", "told"), [(1.0, False), (1.04, False), (1.06, True), (2, True)])
def test_sform_and_pixdim_that_differ_are_told(tmp_path, factor, told):
    path = written(tmp_path / "a.nii", qform=0)
    sizes = np.linalg.norm(OBLIQUE[:3, :3], axis=0) * (1, factor, 1)
    found = read_nifti(patched(path, PIXDIM, "<3f", *sizes))
    np.testing.assert_allclose(found.volume.affine, OBLIQUE, atol=1e-4)
    assert ["by the sform" in doubt for doubt in found.doubts] == [True] * told


def test_a_header_without_codes_is_read_by_its_voxel_size(tmp_path):
    found = read_nifti(written(tmp_path / "a.nii", sform=0, qform=0))
    np.testing.assert_allclose(found.volume.spacing_mm, (5.0, 5.0, 5.5), atol=1e-5)
    assert ["guesses" in doubt for doubt in found.doubts] == [True]


@pytest.mark.parametrize("code", [-3, 6, 100, 32767])
def test_a_code_that_is_none_does_not_count(tmp_path, code):
    path = patched(written(tmp_path / "a.nii", sform=0, qform=1), 254, "<h", code)
    np.testing.assert_allclose(read_volume(path).affine, OBLIQUE, atol=1e-3)


def test_a_quaternion_is_a_rotation_but_for_rounding(tmp_path):
    affine = np.diag([-2.0, -2.0, 3.0, 1.0])  # half a turn: b, c, d have length 1
    path = written(tmp_path / "a.nii", affine, sform=0)
    patched(path, QUATERNION, "<3f", 0.0, 0.0, 1.0002)
    np.testing.assert_allclose(read_volume(path).affine, affine, atol=1e-3)
    patched(path, QUATERNION, "<3f", 0.9, 0.9, 0.9)
    assert "its qform is no rotation" in refusal(path)
    patched(path, QUATERNION, "<f", float("nan"))
    assert "not a finite" in refusal(path)


@pytest.mark.parametrize("value", [1e8, -1e38])
def test_a_place_beyond_this_world_is_refused(tmp_path, value):
    path = patched(written(tmp_path / "a.nii", qform=0), SFORM + 12, "<f", value)
    assert "km away from the scanner" in refusal(path)


def test_axes_that_are_not_used_may_have_no_length(tmp_path):
    path = patched(written(tmp_path / "a.nii"), 40, "<8h", 5, 3, 4, 5, 1, 0, 0, 0)
    np.testing.assert_array_equal(read_volume(path).data, DATA)


def test_big_endian_files_are_read(tmp_path):
    image = nib.Nifti1Image(DATA, OBLIQUE, nib.Nifti1Header(endianness=">"))
    nib.save(image, tmp_path / "a.nii")
    assert (tmp_path / "a.nii").read_bytes()[:4] == b"\0\0\1\x5c"
    found = read_nifti(tmp_path / "a.nii")
    np.testing.assert_array_equal(found.volume.data, DATA)
    np.testing.assert_allclose(found.volume.affine, OBLIQUE, atol=1e-4)


@pytest.mark.parametrize("affine", ODD_AFFINES.values(), ids=ODD_AFFINES)
@pytest.mark.parametrize(
    "kind", [np.uint8, np.int16, np.int32, np.int64, np.uint16, np.float32, np.float64]
)
@pytest.mark.parametrize("slope", [(1.0, 0.0), (0.37, -2.0)])
def test_every_type_is_read_as_nibabel_reads_it(tmp_path, monkeypatch, kind, affine, slope):
    monkeypatch.setattr(
        "plgg.data.nifti.image._CHUNK_BYTES", 1000
    )  # so that there are several pieces
    data = (np.random.default_rng(0).normal(size=(7, 11, 13)) * 100).astype(kind)
    image = nib.Nifti1Image(data, affine, dtype=kind)
    image.header.set_slope_inter(*slope)
    nib.save(image, tmp_path / "a.nii")
    truth = nib.load(tmp_path / "a.nii")
    found = read_volume(tmp_path / "a.nii")
    np.testing.assert_array_equal(found.data, truth.get_fdata().astype(np.float32))
    np.testing.assert_array_equal(found.affine, truth.affine)
    assert found.data.flags.f_contiguous
    assert found.data.flags.writeable


def test_a_cifti_file_is_called_that(tmp_path):
    image = nib.Nifti2Image(np.zeros((1, 1, 1, 1, 3, 4), np.float32), None)
    image.header["intent_code"] = 3001
    nib.save(image, tmp_path / "a.dscalar.nii")
    assert "is CIFTI" in refusal(tmp_path / "a.dscalar.nii")


def test_floats_count_against_the_budget_as_they_are_held(tmp_path):
    path = written(tmp_path / "a.nii")
    with scan_limit(240 / 2**30):
        assert read_volume(path).shape == DATA.shape
    with scan_limit(239 / 2**30):
        assert "3×4×5 voxels" in refusal(path)
