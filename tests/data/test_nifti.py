"""NIfTI in and out: geometry to the bit, scaling, and files that are broken in each known way."""

import gzip
import struct

import nibabel as nib
import numpy as np
import pytest

from helper import ODD_AFFINES, SHAPE, make_affine, write_nifti
from plgg.core.errors import InputError
from plgg.core.volume import Volume
from plgg.data.nifti.image import (
    is_nifti,
    read_nifti,
    read_volume,
    stem,
    write_probability,
    write_volume,
)

DATA = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
SHEAR = np.array([[1.0, 0.2, 0, 0], [0, 1, 0, 0], [0.1, 0, 1, 0], [0, 0, 0, 1]])
AFFINES = {**ODD_AFFINES, "sheared": SHEAR @ ODD_AFFINES["oblique"]}


def refused(path):
    with pytest.raises(InputError) as caught:
        read_volume(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def with_header(folder, offset, layout, *values):
    """A healthy file with some bytes of its header overwritten."""
    raw = bytearray(write_nifti(folder / "good.nii", DATA).read_bytes())
    struct.pack_into(layout, raw, offset, *values)
    path = folder / "spoilt.nii"
    path.write_bytes(raw)
    return path


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("name", AFFINES)
def test_a_read_scan_is_written_with_the_very_same_affine(tmp_path, name, suffix):
    first = read_volume(write_nifti(tmp_path / f"a{suffix}", DATA, AFFINES[name]))
    np.testing.assert_allclose(first.affine, AFFINES[name], rtol=1e-6, atol=1e-4)
    write_volume(tmp_path / f"b{suffix}", first)
    second = read_volume(tmp_path / f"b{suffix}")
    np.testing.assert_array_equal(second.affine, first.affine)
    np.testing.assert_array_equal(second.data, DATA)
    assert second.data.dtype == np.float32


@pytest.mark.parametrize("name", ODD_AFFINES)
def test_viewers_of_the_qform_see_the_same_place(tmp_path, name):
    write_volume(tmp_path / "a.nii", Volume(DATA, ODD_AFFINES[name]))
    header = nib.load(tmp_path / "a.nii").header
    assert (int(header["sform_code"]), int(header["qform_code"])) == (1, 1)
    assert header.get_xyzt_units()[0] == "mm"
    np.testing.assert_allclose(header.get_qform(), header.get_sform(), atol=1e-3)


def test_a_scan_with_only_a_qform_keeps_its_place(tmp_path):
    image = nib.Nifti1Image(DATA, None)
    image.set_qform(ODD_AFFINES["oblique-lps"], code=1)
    image.set_sform(None, code=0)
    nib.save(image, tmp_path / "a.nii.gz")
    first = read_volume(tmp_path / "a.nii.gz")
    np.testing.assert_allclose(first.affine, ODD_AFFINES["oblique-lps"], atol=1e-3)
    write_volume(tmp_path / "b.nii.gz", first)
    np.testing.assert_allclose(read_volume(tmp_path / "b.nii.gz").affine, first.affine, atol=1e-4)


def test_slope_and_intercept_are_applied(tmp_path):
    image = nib.Nifti1Image(DATA, np.eye(4))
    image.header.set_slope_inter(0.5, 3.0)
    nib.save(image, tmp_path / "a.nii.gz")
    np.testing.assert_allclose(read_volume(tmp_path / "a.nii.gz").data, DATA * 0.5 + 3.0)


def test_nifti_2_is_read(tmp_path):
    nib.save(nib.Nifti2Image(DATA, ODD_AFFINES["lps"]), tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(read_volume(tmp_path / "a.nii.gz").data, DATA)


def test_one_volume_of_a_series_is_accepted_and_several_refused(tmp_path):
    one = write_nifti(tmp_path / "one.nii.gz", DATA[..., None])
    assert read_volume(one).shape == DATA.shape
    two = write_nifti(tmp_path / "two.nii.gz", np.stack([DATA, DATA], axis=-1))
    assert "(3, 4, 5, 2)" in refused(two)
    assert "Split the series" in refused(two)


@pytest.mark.parametrize("shape", [(60,), (12, 5)])
def test_fewer_dimensions_are_refused(tmp_path, shape):
    said = refused(write_nifti(tmp_path / "a.nii", DATA.reshape(shape)))
    assert "expected one 3-D image" in said
    assert "no more than a slice" in said


@pytest.mark.parametrize("cut", [1, 8, 20, 200])
def test_a_truncated_file_is_refused(tmp_path, cut):
    rng = np.random.default_rng(0)
    for name in ("a.nii", "a.nii.gz"):
        path = write_nifti(tmp_path / name, rng.normal(size=(6, 7, 8)))
        path.write_bytes(path.read_bytes()[:-cut])
        assert "is truncated" in refused(path)


def test_a_flipped_bit_in_a_compressed_file_is_refused(tmp_path):
    path = write_nifti(tmp_path / "a.nii.gz", np.random.default_rng(0).normal(size=(9, 9, 9)))
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 16
    path.write_bytes(raw)
    assert "is damaged" in refused(path)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (b"junk", "is text"),
        (b"patient_id,flair\n" * 100, "is text"),
        (bytes(400), "only zeros"),
        (bytes(range(256)) * 4, "is not NIfTI"),
    ],
)
def test_what_is_no_nifti_is_refused_as_what_it_is(tmp_path, name, content, told):
    (tmp_path / name).write_bytes(content)
    assert told in refused(tmp_path / name)
    (tmp_path / name).write_bytes(gzip.compress(content))
    assert told in refused(tmp_path / name)


def test_a_file_with_the_wrong_suffix_is_refused(tmp_path):
    plain = write_nifti(tmp_path / "a.nii", DATA)
    plain.rename(tmp_path / "b.nii.gz")
    assert "is not gzip, though its name says so" in refused(tmp_path / "b.nii.gz")
    packed = write_nifti(tmp_path / "c.nii.gz", DATA)
    packed.rename(tmp_path / "d.nii")
    assert "Rename it to d.nii.gz" in refused(tmp_path / "d.nii")


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    (tmp_path / "folder.nii.gz").mkdir()
    assert "no such file" in refused(tmp_path / "none.nii.gz")
    assert "is a folder, not a file" in refused(tmp_path / "folder.nii.gz")


@pytest.mark.parametrize(
    ("offset", "layout", "values", "told"),
    [
        (40, "<h", (9,), "9 dimensions"),
        (40, "<h", (0,), "0 dimensions"),
        (40, "<4h", (3, -3, 4, 5), "-3×4×5 voxels, so none"),
        (40, "<4h", (3, 3, 0, 5), "3×0×5 voxels, so none"),
        (40, "<4h", (3, 32767, 32767, 32767), "at most 2 GiB are read"),
        (40, "<4h", (3, 30, 40, 50), "is truncated: its header declares 120352 bytes"),
        (70, "<h", (777,), "type of voxels"),
        (70, "<h", (0,), "type of voxels"),
        (70, "<h", (1,), "single bits"),
        (108, "<f", (1e9,), "is truncated"),  # offset of the voxels
        (108, "<f", (1e38,), "is truncated"),
        (108, "<f", (-1e38,), "before its own end"),
        (108, "<f", (0.0,), "before its own end"),
        (108, "<f", (float("nan"),), "before its own end"),
        (112, "<2f", (2.0, float("inf")), "scl_inter"),
        (344, "<4s", (b"none",), "no mark of NIfTI"),
        (344, "<4s", (b"ni1\0",), "is the header of a .hdr/.img pair"),
        (280, "<12f", [0.0] * 12, "voxel size is unknown"),
        (280, "<12f", [1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 1, 0], "cannot be inverted"),
        (280, "<f", (float("nan"),), "not a finite"),
    ],
)
def test_a_spoilt_header_is_refused_for_what_is_spoilt(tmp_path, offset, layout, values, told):
    assert told in refused(with_header(tmp_path, offset, layout, *values))


def test_colours_and_complex_numbers_are_refused(tmp_path):
    colours = np.zeros(SHAPE, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    assert "colours (RGB)" in refused(write_nifti(tmp_path / "a.nii.gz", colours))
    assert "complex" in refused(write_nifti(tmp_path / "b.nii", DATA.astype(np.complex64)))


def test_values_beyond_float32_become_infinite_without_a_warning(tmp_path):
    path = write_nifti(tmp_path / "a.nii", DATA.astype(np.float64) * 1e300)
    assert np.isinf(read_volume(path).data.max())


def test_equal_images_are_equal_files(tmp_path):
    for name in ("a.nii.gz", "b.nii.gz"):
        write_volume(tmp_path / name, Volume(DATA > 30, ODD_AFFINES["far"]))
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_a_mask_is_written_as_bytes(tmp_path):
    write_volume(tmp_path / "a.nii.gz", Volume(DATA > 30, np.eye(4)))
    image = nib.load(tmp_path / "a.nii.gz")
    assert image.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(np.asarray(image.dataobj), DATA > 30)


def test_probabilities_come_back_within_half_a_code(tmp_path):
    exact = np.linspace(0.0, 1.0, 1001).reshape(7, 11, 13)
    write_probability(tmp_path / "a.nii.gz", Volume(exact, make_affine((1, 2, 3))))
    back = read_volume(tmp_path / "a.nii.gz").data
    assert np.abs(back - exact).max() <= 1 / 510 + 1e-6
    assert (back.min(), back.max()) == (0.0, 1.0)
    assert nib.load(tmp_path / "a.nii.gz").get_data_dtype() == np.uint8


def test_probabilities_out_of_range_are_clipped(tmp_path):
    data = np.array([-0.5, 0.0, 1.0, 1.5], np.float32).reshape(1, 2, 2)
    write_probability(tmp_path / "a.nii.gz", Volume(data, np.eye(4)))
    np.testing.assert_array_equal(read_volume(tmp_path / "a.nii.gz").data.ravel(), [0, 0, 1, 1])


def test_names(tmp_path):
    for name, expected in {"a.nii": "a", "a.b.nii.gz": "a.b", "X.NII.GZ": "X"}.items():
        assert is_nifti(tmp_path / name)
        assert stem(tmp_path / name) == expected
    for name in ("a.nrrd", "nii", "a.gz", "a.nii.zip"):
        assert not is_nifti(tmp_path / name)


def with_forms(path, sform, qform, *, codes=(1, 1), units="mm"):
    image = nib.Nifti1Image(DATA, None)
    image.set_sform(sform, code=codes[0])
    image.set_qform(qform, code=codes[1])
    image.header.set_xyzt_units(units)
    nib.save(image, path)
    return path


RAS, LAS = ODD_AFFINES["ras"], ODD_AFFINES["las"]


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_mirrored_orientations_are_refused_only_where_both_count(tmp_path, suffix):
    path = with_forms(tmp_path / f"a{suffix}", RAS, LAS)
    message = refused(path)
    assert "left and right cannot be told" in message
    assert "fslorient" in message
    for codes, kept in (((1, 0), RAS), ((0, 1), LAS)):
        path = with_forms(tmp_path / f"b{suffix}", RAS, LAS, codes=codes)
        np.testing.assert_allclose(read_volume(path).affine, kept, atol=1e-3)
        assert read_nifti(path).doubts == ()


@pytest.mark.parametrize(("by_mm", "told"), [(0.0, False), (1.5, False), (3.0, True)])
def test_other_conflicts_are_told_and_the_sform_counts(tmp_path, caplog, by_mm, told):
    moved = RAS.copy()
    moved[2, 3] += by_mm
    path = with_forms(tmp_path / "a.nii.gz", RAS, moved)
    np.testing.assert_allclose(read_volume(path).affine, RAS, atol=1e-3)
    assert ("sform" in caplog.text) == told
    said = f"sform and qform put it up to {by_mm:.0f} mm apart, and the sform was taken"
    assert read_nifti(path).doubts == ((said,) if told else ())


@pytest.mark.parametrize(("by_mm", "told"), [(0.0, False), (3.0, True)])
def test_a_qform_without_the_shear_of_its_sform_is_no_conflict(tmp_path, caplog, by_mm, told):
    path = tmp_path / "a.nii.gz"
    write_volume(path, Volume(np.zeros(SHAPE, np.uint8), AFFINES["sheared"]))
    image = nib.load(path)
    moved = image.get_qform()
    moved[2, 3] += by_mm
    image.set_qform(moved, code=1)
    nib.save(image, path)
    assert len(read_nifti(path).doubts) == told
    assert ("sform" in caplog.text) == told


def test_a_guessed_orientation_is_read_and_can_be_told(tmp_path):
    path = with_forms(tmp_path / "a.nii.gz", RAS, RAS, codes=(0, 0))
    assert read_volume(path).shape == DATA.shape
    assert ["guesses" in doubt for doubt in read_nifti(path).doubts] == [True]


@pytest.mark.parametrize(("units", "factor"), [("meter", 1e-3), ("micron", 1e3), ("unknown", 1)])
def test_other_units_become_millimetres(tmp_path, units, factor):
    stored = np.diag([factor] * 3 + [1]) @ ODD_AFFINES["oblique"]
    path = with_forms(tmp_path / "a.nii.gz", stored, stored, units=units)
    np.testing.assert_allclose(read_volume(path).affine, ODD_AFFINES["oblique"], atol=1e-3)
    assert read_nifti(path).doubts == ()


@pytest.mark.parametrize("units", ["meter", "micron"])
def test_a_unit_that_cannot_be_meant_is_refused(tmp_path, units):
    assert units in refused(with_forms(tmp_path / "a.nii.gz", RAS, RAS, units=units))


@pytest.mark.parametrize("slope", [0.0, float("nan")])
def test_a_slope_that_is_none_leaves_the_values(tmp_path, slope):
    path = with_header(tmp_path, 112, "<2f", slope, 7.0)
    np.testing.assert_array_equal(read_volume(path).data, DATA)


@pytest.mark.real
@pytest.mark.parametrize("folder", ["brats2013", "raw-flair", "sri24", "dicom"])
def test_no_real_scan_contradicts_itself(shared_data, folder):
    paths = sorted(path for path in (shared_data / folder).rglob("*") if is_nifti(path))
    assert paths
    for path in paths:
        assert read_nifti(path).doubts == (), path
