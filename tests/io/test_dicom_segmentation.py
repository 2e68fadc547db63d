"""A mask as DICOM SEG lies where the mask lies: read back by two readers that are not ours."""

import logging
import shutil
import subprocess

import highdicom as hd
import nibabel as nib
import numpy as np
import pydicom
import pytest
from nibabel.affines import apply_affine

from dicom_series import LEAKS, SYNTAXES, write_series
from plgg.errors import InputError
from plgg.io.dicom import read_dicom
from plgg.io.dicom.segmentation import write_segmentation
from plgg.volume import Volume

TOLERANCE_MM = 0.01
_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def turned(axes, spacing, angles=(0.0, 0.0, 0.0), origin=(-30.0, 12.5, 40.25)):
    """A DICOM-like grid: columns, rows, slices along the named world axes, then turned."""
    names = {"L": 0, "R": 0, "P": 1, "A": 1, "S": 2, "I": 2}
    signs = {"L": -1, "R": 1, "P": -1, "A": 1, "S": 1, "I": -1}
    frame = np.zeros((3, 3))
    for column, letter in enumerate(axes):
        frame[names[letter], column] = signs[letter]
    for axis, angle in enumerate(np.deg2rad(angles)):
        i, j = [k for k in range(3) if k != axis]
        turn = np.eye(3)
        turn[i, i] = turn[j, j] = np.cos(angle)
        turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
        frame = turn @ frame
    affine = np.eye(4)
    affine[:3, :3] = frame * spacing
    affine[:3, 3] = origin
    return affine


GRIDS = {
    "axial": turned("LPS", (0.9, 1.1, 5.0)),
    "axial, from above": turned("LPI", (0.9, 0.9, 4.0)),
    "sagittal": turned("PIL", (1.0, 1.0, 3.0)),
    "coronal": turned("LIA", (0.8, 0.8, 2.5)),
    "oblique": turned("LPS", (0.7, 0.7, 4.4), (12.0, 0.0, 0.0)),
    "doubly oblique": turned("PIR", (0.6, 1.2, 3.3), (-8.0, 11.0, 23.0)),
}
SHAPE = (14, 11, 7)


def scan(affine):
    return Volume(np.random.default_rng(0).integers(1, 900, SHAPE).astype(np.int16), affine)


def blob(like):
    """Alike in no mirror image and no turn; touches the first slice and leaves others empty."""
    data = np.zeros(like.shape, dtype=np.bool_)
    data[2:9, 3:5, 0:3] = True
    data[2:4, 3:9, 1] = True
    data[8, 3, 4] = True
    return like.with_data(data)


def points(data, affine):
    return apply_affine(affine, np.argwhere(data))


def gap_mm(found, wanted):
    """The largest distance from any point of one set to the nearest of the other, both ways."""
    assert len(found) == len(wanted)
    distances = np.linalg.norm(found[:, None] - wanted[None], axis=2)
    return max(distances.min(axis=0).max(), distances.min(axis=1).max())


def by_highdicom(path):
    volume = hd.seg.segread(path).get_volume(combine_segments=True)
    return points(volume.array > 0, _TO_LPS @ volume.affine)


def by_pydicom(path):
    """By hand, from the functional groups of each frame: no reader's idea of a volume."""
    file = pydicom.dcmread(path)
    orientation = file.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
    across, down = np.reshape(orientation.ImageOrientationPatient, (2, 3)).astype(float)
    measures = file.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    between_rows, between_columns = map(float, measures.PixelSpacing)
    frames = file.pixel_array.reshape(-1, file.Rows, file.Columns)
    found = []
    for group, frame in zip(file.PerFrameFunctionalGroupsSequence, frames, strict=True):
        corner = np.array(group.PlanePositionSequence[0].ImagePositionPatient, dtype=float)
        for row, column in np.argwhere(frame):
            found.append(corner + across * between_columns * column + down * between_rows * row)
    return np.array(found) * (-1, -1, 1)


def by_dcmqi(path, out):
    program = shutil.which("segimage2itkimage")
    if program is None:
        pytest.skip("dcmqi is not installed")
    out.mkdir()
    command = [program, "--inputDICOM", path, "--outputDirectory", out, "-t", "nii"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (image,) = map(nib.load, out.glob("*.nii.gz"))
    return points(np.asarray(image.dataobj) > 0, image.affine)


def written(folder, volume, **options):
    """A series, its mask on the grid that plgg reads, and the segmentation of it."""
    write_series(folder / "series", volume, **options)
    mask = blob(read_dicom(folder / "series").volume)
    write_segmentation(folder / "segmentation.dcm", mask, folder / "series")
    return folder / "segmentation.dcm", mask


@pytest.mark.parametrize("enhanced", [False, True], ids=["classic", "enhanced"])
@pytest.mark.parametrize("name", GRIDS)
def test_the_mask_lies_on_the_same_patient_coordinates(name, enhanced, tmp_path):
    path, mask = written(tmp_path, scan(GRIDS[name]), enhanced=enhanced)
    wanted = points(mask.data, mask.affine)
    assert gap_mm(by_highdicom(path), wanted) < TOLERANCE_MM
    assert gap_mm(by_pydicom(path), wanted) < TOLERANCE_MM
    assert gap_mm(by_dcmqi(path, tmp_path / "dcmqi"), wanted) < TOLERANCE_MM


def test_every_frame_of_the_source_is_there_and_refers_to_it(tmp_path):
    path, _ = written(tmp_path, scan(GRIDS["sagittal"]))
    found = pydicom.dcmread(path)
    sources = [pydicom.dcmread(file) for file in (tmp_path / "series").iterdir()]
    assert found.NumberOfFrames == len(sources) == SHAPE[2]
    positions = {
        item.SOPInstanceUID: np.array(item.ImagePositionPatient, float) for item in sources
    }
    for group in found.PerFrameFunctionalGroupsSequence:
        derivation = group.DerivationImageSequence[0].SourceImageSequence[0]
        own = np.array(group.PlanePositionSequence[0].ImagePositionPatient, float)
        np.testing.assert_allclose(
            own, positions[derivation.ReferencedSOPInstanceUID], atol=TOLERANCE_MM
        )
    assert found.StudyInstanceUID == sources[0].StudyInstanceUID
    assert found.FrameOfReferenceUID == sources[0].FrameOfReferenceUID
    assert found.SeriesInstanceUID != sources[0].SeriesInstanceUID


def test_terms_are_standard(tmp_path):
    path, _ = written(tmp_path, scan(GRIDS["axial"]))
    segment = pydicom.dcmread(path).SegmentSequence[0]
    assert segment.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "49755003"
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodeValue == "108369006"
    assert segment.AnatomicRegionSequence[0].CodeValue == "12738006"
    assert segment.SegmentAlgorithmType == "AUTOMATIC"


@pytest.mark.parametrize("syntax", [name for name in SYNTAXES if name != "plain"])
def test_compressed_sources_make_no_difference(syntax, tmp_path):
    path, mask = written(tmp_path, scan(GRIDS["oblique"]), syntax=syntax)
    assert gap_mm(by_pydicom(path), points(mask.data, mask.affine)) < TOLERANCE_MM


def test_no_tumour_is_a_segmentation_with_nothing_marked(tmp_path):
    write_series(tmp_path / "series", scan(GRIDS["axial"]))
    volume = read_dicom(tmp_path / "series").volume
    empty = volume.with_data(np.zeros(volume.shape, dtype=np.bool_))
    write_segmentation(tmp_path / "s.dcm", empty, tmp_path / "series")
    found = pydicom.dcmread(tmp_path / "s.dcm")
    assert found.NumberOfFrames == SHAPE[2]
    assert not found.pixel_array.any()


def test_the_same_mask_on_the_same_scan_is_the_same_object(tmp_path):
    path, mask = written(tmp_path, scan(GRIDS["axial"]))
    again = tmp_path / "again.dcm"
    write_segmentation(again, mask, tmp_path / "series")
    one, other = pydicom.dcmread(path), pydicom.dcmread(again)
    assert one.SOPInstanceUID == other.SOPInstanceUID
    assert one.SeriesInstanceUID == other.SeriesInstanceUID
    moved = mask.with_data(np.roll(mask.data, 1, axis=0))
    write_segmentation(again, moved, tmp_path / "series")
    assert pydicom.dcmread(again).SOPInstanceUID != one.SOPInstanceUID


def test_a_source_that_is_gone_or_changed_is_named(tmp_path):
    _, mask = written(tmp_path, scan(GRIDS["axial"]))
    with pytest.raises(InputError, match="no such file or folder"):
        write_segmentation(tmp_path / "s.dcm", mask, tmp_path / "nowhere")
    moved = GRIDS["axial"].copy()
    moved[0, 3] += 0.5
    shutil.rmtree(tmp_path / "series")
    write_series(tmp_path / "series", scan(moved))
    with pytest.raises(InputError, match="no longer the scan"):
        write_segmentation(tmp_path / "s.dcm", mask, tmp_path / "series")
    assert not (tmp_path / "s.dcm").exists()


def test_headers_that_lack_what_a_segmentation_needs_are_named_without_a_name(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    write_series(tmp_path / "series", scan(GRIDS["axial"]), tags={**LEAKS, "SOPInstanceUID": None})
    mask = blob(read_dicom(tmp_path / "series").volume)
    with pytest.raises(InputError) as caught:
        write_segmentation(tmp_path / "s.dcm", mask, tmp_path / "series")
    said = f"{caught.value}{caplog.text}".lower()
    assert "leak" not in said
    assert not (tmp_path / "s.dcm").exists()


def test_older_headers_without_a_birth_date_are_no_obstacle(tmp_path):
    lacking = dict.fromkeys(["PatientBirthDate", "StudyID", "AccessionNumber"])
    path, mask = written(tmp_path, scan(GRIDS["axial"]), tags=lacking)
    assert gap_mm(by_pydicom(path), points(mask.data, mask.affine)) < TOLERANCE_MM


@pytest.mark.real
def test_real_headers_carry_a_segmentation(shared_data, tmp_path):
    series = sorted((shared_data / "dicom").glob("**/anatomical/001"))
    assert series
    for number, folder in enumerate(series):
        volume = read_dicom(folder).volume
        data = np.zeros(volume.shape, dtype=np.bool_)
        data[20:40, 30:35, 1:3] = True
        data[20:22, 30:60, 2] = True
        path = tmp_path / f"{number}.dcm"
        write_segmentation(path, volume.with_data(data), folder)
        wanted = points(data, volume.affine)
        assert gap_mm(by_highdicom(path), wanted) < TOLERANCE_MM
        assert gap_mm(by_dcmqi(path, tmp_path / str(number)), wanted) < TOLERANCE_MM
