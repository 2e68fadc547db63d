"""DICOM to `Volume`: every voxel keeps its value and its place, however the series is written."""

import shutil
import zipfile

import nibabel as nib
import numpy as np
import pytest

from dicom_series import SYNTAXES, read_header, write_series
from helper import make_affine, write_nifti
from plgg.core.errors import InputError
from plgg.core.volume import Volume, apply_affine
from plgg.data.dicom.find import is_dicom
from plgg.data.dicom.read import read_dicom
from plgg.data.nifti.image import read_volume

SHAPE = (12, 10, 7)
GRIDS = {
    "axial": make_affine((0.9, 0.9, 5.0), axes="LPS", shape=SHAPE),
    "axial, head first": make_affine((0.9, 1.1, 5.0), axes="LPI", shape=SHAPE),
    "sagittal": make_affine((0.5, 0.6, 1.2), axes="PIL", shape=SHAPE),
    "coronal": make_affine((0.7, 0.7, 3.3), axes="LIP", shape=SHAPE),
    "ras": make_affine((1.0, 1.0, 2.0), shape=SHAPE),
    "oblique": make_affine((0.8, 0.9, 4.4), axes="LPS", turn_degrees=(17, -8, 5), shape=SHAPE),
    "doubly oblique": make_affine(
        (0.8, 0.9, 4), axes="PIR", turn_degrees=(-9, 31, 12), shape=SHAPE
    ),
}
DATA = np.random.default_rng(0).integers(0, 4000, SHAPE).astype(np.uint16)


def canonical(volume):
    return nib.as_closest_canonical(nib.Nifti1Image(np.asarray(volume.data, float), volume.affine))


def assert_same_scan(found, expected, *, atol=0.0, within_mm=0.01):
    one, other = canonical(found), canonical(expected)
    assert one.shape == other.shape
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in one.shape])).reshape(3, -1).T
    gap = apply_affine(one.affine, corners) - apply_affine(other.affine, corners)
    assert np.abs(gap).max() <= within_mm
    np.testing.assert_allclose(one.get_fdata(), other.get_fdata(), rtol=0, atol=atol)


def zipped(folder, path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder.parent))
    return path


@pytest.mark.parametrize("enhanced", [False, True], ids=["classic", "enhanced"])
@pytest.mark.parametrize("name", GRIDS)
def test_every_voxel_keeps_its_value_and_place(tmp_path, name, enhanced):
    volume = Volume(DATA, GRIDS[name])
    write_series(tmp_path / "s", volume, enhanced=enhanced)
    scan = read_dicom(tmp_path / "s")
    assert scan.volume.data.dtype == np.float32
    assert_same_scan(scan.volume, volume)


@pytest.mark.parametrize("name", GRIDS)
def test_the_affine_agrees_with_every_header(tmp_path, name):
    write_series(tmp_path / "s", Volume(DATA, GRIDS[name]))
    scan = read_dicom(tmp_path / "s")
    for k, file in enumerate(scan.files):
        header = read_header(tmp_path / "s" / file)
        cosines = np.array(header.ImageOrientationPatient, float).reshape(2, 3)
        spacing = np.array(header.PixelSpacing, float)
        for i, j in ((0, 0), (header.Columns - 1, 0), (0, header.Rows - 1)):
            place = np.array(header.ImagePositionPatient, float)
            place += i * spacing[1] * cosines[0] + j * spacing[0] * cosines[1]
            found = apply_affine(scan.volume.affine, np.array([i, j, k]))
            np.testing.assert_allclose(found, place * [-1, -1, 1], atol=0.01)
        np.testing.assert_array_equal(scan.volume.data[:, :, k], header.pixel_array.T)


@pytest.mark.parametrize("enhanced", [False, True], ids=["classic", "enhanced"])
def test_another_reader_sees_the_same(tmp_path, enhanced):
    highdicom = pytest.importorskip("highdicom")
    files = write_series(tmp_path / "s", Volume(DATA, GRIDS["doubly oblique"]), enhanced=enhanced)
    if enhanced:
        theirs = highdicom.imread(files[0]).get_volume(apply_real_world_transform=False)
    else:
        theirs = highdicom.get_volume_from_series([read_header(file) for file in files])
    placed = Volume(theirs.array, np.diag([-1.0, -1, 1, 1]) @ theirs.affine)
    assert_same_scan(read_dicom(tmp_path / "s").volume, placed)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_every_lossless_compression_gives_the_very_values(tmp_path, syntax, signed):
    data = DATA.astype(np.int16) - (2000 if signed else 0)
    write_series(tmp_path / "s", Volume(data, GRIDS["axial"]), syntax=syntax)
    header = read_header(next((tmp_path / "s").iterdir()))
    assert header.file_meta.TransferSyntaxUID == SYNTAXES[syntax]
    assert_same_scan(read_dicom(tmp_path / "s").volume, Volume(data, GRIDS["axial"]))


@pytest.mark.parametrize("syntax", ["rle", "jpeg-ls", "jpeg-2000", "jpeg-lossless-sv1", "deflated"])
def test_compressed_frames_of_an_enhanced_file_are_read(tmp_path, syntax):
    write_series(tmp_path / "s", Volume(DATA, GRIDS["axial"]), enhanced=True, syntax=syntax)
    assert_same_scan(read_dicom(tmp_path / "s").volume, Volume(DATA, GRIDS["axial"]))


def test_lossy_jpeg_is_read_as_it_was_written(tmp_path):
    from io import BytesIO

    from PIL import Image
    from pydicom.encaps import encapsulate

    smooth = np.add.outer(np.add.outer(np.arange(64), np.arange(48)), np.zeros(3)).astype(np.uint16)
    affine = make_affine((1, 1, 4), axes="LPS", shape=smooth.shape)

    def to_jpeg(dataset, _):
        packed = BytesIO()
        plane = np.frombuffer(dataset.PixelData, np.uint16).reshape(dataset.Rows, -1)
        Image.fromarray(plane.astype(np.uint8)).save(packed, "JPEG", quality=95)
        dataset.PixelData = encapsulate([packed.getvalue()])
        dataset["PixelData"].is_undefined_length = True
        dataset.BitsAllocated = dataset.BitsStored = 8
        dataset.HighBit = 7
        dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.50"
        dataset.save_as(tmp_path / f"{dataset.InstanceNumber}.dcm", enforce_file_format=True)
        return False

    write_series(tmp_path, Volume(smooth, affine), change=to_jpeg)
    assert_same_scan(read_dicom(tmp_path).volume, Volume(smooth, affine), atol=3)


def test_each_slice_is_rescaled_by_its_own_header(tmp_path):
    def rescale(dataset, k):
        dataset.RescaleSlope, dataset.RescaleIntercept = 0.5 + k, -10.0 * k

    write_series(tmp_path, Volume(DATA, GRIDS["axial"]), change=rescale)
    expected = DATA * (0.5 + np.arange(7)) - 10.0 * np.arange(7)
    assert_same_scan(read_dicom(tmp_path).volume, Volume(expected, GRIDS["axial"]), atol=1e-3)


def test_real_numbers_survive_within_half_a_code(tmp_path):
    data = np.random.default_rng(1).normal(100, 30, SHAPE)
    write_series(tmp_path, Volume(data, GRIDS["sagittal"]))
    assert_same_scan(read_dicom(tmp_path).volume, Volume(data, GRIDS["sagittal"]), atol=0.01)


def test_the_files_are_named_in_the_order_of_the_slices(tmp_path):
    write_series(tmp_path / "deep" / "er", Volume(DATA, GRIDS["axial"]))
    scan = read_dicom(tmp_path)
    numbers = [read_header(tmp_path / file).InstanceNumber for file in scan.files]
    assert numbers == list(range(1, 8))


def test_folder_zip_and_single_file_are_one_scan(tmp_path):
    volume = Volume(DATA, GRIDS["axial"])
    file = write_series(tmp_path / "s", volume, enhanced=True)[0]
    (tmp_path / "s" / "readme.txt").write_text("about")
    for path in (tmp_path / "s", file, zipped(tmp_path / "s", tmp_path / "s.zip")):
        assert is_dicom(path)
        scan = read_dicom(path)
        assert_same_scan(scan.volume, volume)
        assert [name.rsplit("/")[-1] for name in scan.files] == ["IM-multi.dcm"]


def test_a_zip_of_a_classic_series_names_its_members(tmp_path):
    write_series(tmp_path / "s", Volume(DATA, GRIDS["axial"]), suffix="")
    path = zipped(tmp_path / "s", tmp_path / "s.zip")
    shutil.rmtree(tmp_path / "s")
    scan = read_dicom(path)
    assert_same_scan(scan.volume, Volume(DATA, GRIDS["axial"]))
    with zipfile.ZipFile(path) as archive:
        assert set(scan.files) == set(archive.namelist())


def test_what_is_no_dicom_is_told_apart(tmp_path):
    write_nifti(tmp_path / "n" / "a.nii.gz", DATA)
    (tmp_path / "n" / "cohort.json").write_text("{}")
    (tmp_path / "n" / "data.bin").write_bytes(bytes(500))
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.zip").write_bytes(b"PK no zip")
    zipped(tmp_path / "n", tmp_path / "n.zip")
    for name in ("n", "empty", "bad.zip", "n.zip", "n/a.nii.gz", "absent"):
        assert not is_dicom(tmp_path / name)


@pytest.mark.parametrize("tilt", [0.0, 0.3])
def test_a_lean_too_small_to_refuse_is_kept_in_the_affine(tmp_path, tilt):
    affine = GRIDS["axial"].copy()
    affine[1, 2] += 5.0 * np.tan(np.deg2rad(tilt))
    write_series(tmp_path, Volume(DATA, affine))
    assert_same_scan(read_dicom(tmp_path).volume, Volume(DATA, affine))


@pytest.mark.real
@pytest.mark.parametrize(
    "name", ["anatomical/001", "generic/anatomical/001", "philips/anatomical/001"]
)
@pytest.mark.parametrize("as_zip", [False, True])
def test_a_real_series_is_its_ground_truth(shared_data, tmp_path, name, as_zip):
    folder = shared_data / "dicom" / name
    truth = read_volume(folder.with_name(f"{folder.name}_ground_truth.nii.gz"))
    path = zipped(folder, tmp_path / "s.zip") if as_zip else folder
    assert is_dicom(path)
    scan = read_dicom(path)
    assert_same_scan(scan.volume, truth)
    assert len(scan.files) == 4
    assert scan.why.startswith("the only series")


@pytest.mark.real
def test_the_real_series_together_are_not_one(shared_data):
    with pytest.raises(InputError, match="FLAIRs of 2 studies"):
        read_dicom(shared_data / "dicom")
