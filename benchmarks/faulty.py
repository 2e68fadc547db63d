"""Faults to put into a healthy scan, by name. `benchmarks/faults.py` asks plgg what it says."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid
from scipy.spatial.transform import Rotation

from plgg.core.volume import Affine, Volume, index_map
from plgg.data.atlas.atlas import load_atlas
from plgg.data.atlas.template import template_brain
from plgg.data.nifti.image import write_volume
from plgg.preprocess.brain_extraction import bounding_box
from plgg.preprocess.grid import sri24_grid
from plgg.preprocess.resample import resample

MR = UID("1.2.840.10008.5.1.4.1.1.4")


@dataclass(frozen=True, eq=False)
class Healthy:
    """What faults are made from: a scan, its brain, its way to the atlas, and a folder.

    `doubts` are the gates that are in doubt of it as it is.
    """

    scan: Volume
    brain: NDArray[np.bool_]
    atlas_from_native: Affine
    doubts: frozenset[str]
    dicom: Path | None
    folder: Path

    def in_brain(self, values: NDArray[np.float32]) -> Volume:
        """A stripped scan of these values."""
        return self.scan.with_data(np.where(self.brain, values, 0).astype(np.float32))

    @property
    def noise(self) -> NDArray[np.float32]:
        """Values that are not 0 and know nothing of each other."""
        drawn = np.random.default_rng(0).normal(300.0, 60.0, self.scan.shape)
        return np.maximum(drawn, 1.0).astype(np.float32)


def turned(axis: str, degrees: float) -> Callable[[Healthy], Volume]:
    """The header says that the head is turned about an axis of the world."""

    def fault(healthy: Healthy) -> Volume:
        turn = np.eye(4)
        turn[:3, :3] = Rotation.from_euler(axis, degrees, degrees=True).as_matrix()
        return Volume(healthy.scan.data, turn @ healthy.scan.affine)

    return fault


def halved(axis: int) -> Callable[[Healthy], Volume]:
    """The scan ends in the middle of the brain."""

    def fault(healthy: Healthy) -> Volume:
        box = bounding_box(healthy.brain)[axis]
        kept = [slice(None)] * 3
        kept[axis] = slice(0, (box.start + box.stop) // 2)
        return Volume(healthy.scan.data[tuple(kept)], healthy.scan.affine)

    return fault


def sized(factor: float) -> Callable[[Healthy], Volume]:
    """The header's voxels are too large or too small."""
    wrong = np.diag([factor, factor, factor, 1.0])
    return lambda healthy: Volume(healthy.scan.data, wrong @ healthy.scan.affine)


def a_t1(healthy: Healthy) -> Volume:
    """The template's T1 where the scan's brain lies."""
    t1 = template_brain(healthy.scan.shape, healthy.atlas_from_native @ healthy.scan.affine)
    return healthy.scan.with_data(t1.data)


def a_t2(healthy: Healthy) -> Volume:
    """The template's tissues in the contrast of a T2: fluid brightest, white matter darkest."""
    atlas = load_atlas()
    signal = 0.6 * atlas.white + 0.9 * atlas.grey + 1.8 * atlas.csf  # type: ignore[operator]
    there = index_map(atlas.image.affine, healthy.atlas_from_native @ healthy.scan.affine)
    data = resample(signal.astype(np.float32), there, healthy.scan.shape)
    inside = resample(atlas.brain, there, healthy.scan.shape) >= 0.5
    noisy = data * healthy.noise
    return healthy.scan.with_data(np.where(inside, noisy, 0).astype(np.float32))


def inverted(healthy: Healthy) -> Volume:
    """Bright becomes dark, so that fluid is bright."""
    return healthy.in_brain(healthy.scan.data[healthy.brain].max() * 1.01 - healthy.scan.data)


def registered(healthy: Healthy) -> Volume:
    """The scan on the atlas' own grid; to be said, not refused."""
    grid = sri24_grid(1.0)
    stripped = healthy.in_brain(healthy.scan.data)
    there = index_map(healthy.atlas_from_native @ stripped.affine, grid.affine)
    inside = resample(healthy.brain, there, grid.shape) >= 0.5
    data = resample(stripped.data, there, grid.shape)
    return Volume(np.where(inside, data, 0).astype(np.float32), grid.affine)


def not_a_number(healthy: Healthy) -> Volume:
    """NaN around the brain, as some tools write it."""
    return healthy.scan.with_data(np.where(healthy.brain, healthy.scan.data, np.nan))


def empty_file(healthy: Healthy) -> Path:
    """No bytes."""
    path = healthy.folder / "empty.nii.gz"
    path.write_bytes(b"")
    return path


def cut_short(healthy: Healthy) -> Path:
    """A copy that was interrupted."""
    path = healthy.folder / "cut.nii.gz"
    write_volume(path, healthy.scan)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def mirrored_forms(healthy: Healthy) -> Path:
    """The sform says right where the qform says left."""
    path = healthy.folder / "forms.nii.gz"
    image = nib.Nifti1Image(healthy.scan.data, healthy.scan.affine)
    image.set_sform(healthy.scan.affine, code=1)
    image.set_qform(np.diag([-1.0, 1.0, 1.0, 1.0]) @ healthy.scan.affine, code=1)
    nib.save(image, path)
    return path


def cut_dicom(healthy: Healthy) -> Path:
    """One slice ends early."""
    folder = series(healthy, "cut-dicom")
    file = sorted(path for path in folder.rglob("*") if path.is_file())[1]
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 6 // 10])
    return folder


def two_under_one_name(healthy: Healthy) -> Path:
    """Two acquisitions that share the identifier of their series."""
    folder = series(healthy, "one-name/a")
    other = folder.parent / "b"
    shutil.copytree(folder, other)
    for file in (path for path in other.rglob("*") if path.is_file()):
        slice_ = pydicom.dcmread(file)
        slice_.SOPInstanceUID = slice_.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        slice_.PixelData = slice_.PixelData[::-1]
        slice_.save_as(file)
    return folder.parent


def two_alike(healthy: Healthy) -> Path:
    """Two series that the headers do not tell apart."""
    folder = series(healthy, "alike/a")
    other, uid = folder.parent / "b", generate_uid()
    shutil.copytree(folder, other)
    for file in (path for path in other.rglob("*") if path.is_file()):
        slice_ = pydicom.dcmread(file)
        slice_.SeriesInstanceUID = uid
        slice_.save_as(file)
    return folder.parent


def series(healthy: Healthy, name: str) -> Path:
    """The user's DICOM copied, or the scan written as such."""
    folder = healthy.folder / name
    if healthy.dicom:
        shutil.copytree(healthy.dicom, folder)
        return folder
    folder.mkdir(parents=True)
    uids = [generate_uid() for _ in range(3)]
    for k in range(healthy.scan.shape[2]):
        dicom_slice(healthy.scan, k, uids).save_as(folder / f"{k:04d}.dcm")
    return folder


def dicom_slice(scan: Volume, k: int, uids: list[UID]) -> FileDataset:
    """One slice as an MR image of a FLAIR."""
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ scan.affine
    axes = affine[:3, :2] / scan.spacing_mm[:2]
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, MR
    meta.MediaStorageSOPInstanceUID = generate_uid()
    found = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    values = {
        "SOPClassUID": MR, "SOPInstanceUID": meta.MediaStorageSOPInstanceUID, "Modality": "MR",
        "StudyInstanceUID": uids[0], "SeriesInstanceUID": uids[1], "FrameOfReferenceUID": uids[2],
        "SeriesDescription": "FLAIR", "SeriesNumber": 5, "EchoTime": 120, "InversionTime": 2500,
        "ImageType": ["ORIGINAL", "PRIMARY"], "InstanceNumber": k + 1, "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2", "Columns": scan.shape[0],
        "Rows": scan.shape[1], "BitsAllocated": 16, "BitsStored": 16, "HighBit": 15,
        "PixelRepresentation": 0, "PixelSpacing": [f"{n:.9g}" for n in scan.spacing_mm[[1, 0]]],
        "ImageOrientationPatient": [f"{n:.9f}" for n in axes.T.ravel()],
        "ImagePositionPatient": [f"{n:.9g}" for n in (affine @ [0, 0, k, 1])[:3]],
        "PixelData": np.clip(scan.data[:, :, k].T, 0, 65535).astype(np.uint16).tobytes(),
    }  # fmt: skip
    for keyword, value in values.items():
        setattr(found, keyword, value)
    return found


Fault = Callable[[Healthy], Volume | Path]
FAULTS: dict[str, Fault] = {
    "nothing": lambda healthy: healthy.scan,
    "registered already": registered,
    "empty file": empty_file,
    "truncated .nii.gz": cut_short,
    "truncated DICOM": cut_dicom,
    "two DICOM series under one identifier": two_under_one_name,
    "two DICOM series alike": two_alike,
    "sform and qform mirrored": mirrored_forms,
    "NaN outside the brain": not_a_number,
    "a mask as the scan": lambda healthy: healthy.in_brain(np.ones(healthy.scan.shape, np.float32)),
    "cropped to half, first axis": halved(0),
    "cropped to half, second axis": halved(1),
    "cropped to half, third axis": halved(2),
    "a T1": a_t1,
    "a T2": a_t2,
    "inverted": inverted,
    "noise in the brain's shape": lambda healthy: healthy.in_brain(healthy.noise),
    "noise everywhere": lambda healthy: healthy.scan.with_data(healthy.noise),
    "upside down (180° about left-right)": turned("x", 180.0),
    "upside down (180° about front-back)": turned("y", 180.0),
    "back to front (180° about foot-head)": turned("z", 180.0),
    "turned by 90° about left-right": turned("x", 90.0),
    "turned by 90° about front-back": turned("y", 90.0),
    "turned by 90° about foot-head": turned("z", 90.0),
    "voxels 10 times too small": sized(0.1),
    "voxels 10 times too large": sized(10.0),
}
