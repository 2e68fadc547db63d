"""Masks on DICOM grids, written as DICOM SEG and read back by readers that are not ours."""

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import highdicom as hd
import nibabel as nib
import numpy as np
import pydicom
import pytest
from nibabel.affines import apply_affine

from dicom_series import write_series
from plgg.core.volume import Volume
from plgg.data.dicom.read import read_dicom
from plgg.data.dicom.segmentation import write_segmentation

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


@functools.cache
def dcmqi_program():
    """Also where the environment that runs the tests is not on the path."""
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    program = shutil.which("segimage2itkimage", path=places)
    runs = program and subprocess.run([program, "--version"], capture_output=True, check=False)
    return program if runs and runs.returncode == 0 else None


def by_dcmqi(path, out):
    program = dcmqi_program()
    if program is None:
        pytest.skip("dcmqi is not installed, or does not run here")
    out.mkdir()
    command = [program, "--inputDICOM", path, "--outputDirectory", out, "-t", "nii"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (image,) = map(nib.load, out.glob("*.nii.gz"))
    return points(np.asarray(image.dataobj) > 0, image.affine)


def assert_in_place(path, mask, tolerance_mm=TOLERANCE_MM):
    wanted = points(mask.data, mask.affine)
    assert gap_mm(by_highdicom(path), wanted) < tolerance_mm
    assert gap_mm(by_pydicom(path), wanted) < tolerance_mm
    assert gap_mm(by_dcmqi(path, path.with_suffix("")), wanted) < tolerance_mm


def written(folder, volume, **options):
    """A series, its mask on the grid that plgg reads, and the segmentation of it."""
    write_series(folder / "series", volume, **options)
    mask = blob(read_dicom(folder / "series").volume)
    write_segmentation(folder / "segmentation.dcm", mask, folder / "series")
    return folder / "segmentation.dcm", mask
