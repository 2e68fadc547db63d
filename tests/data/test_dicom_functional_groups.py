"""What vendors do with enhanced files and mixed series: read as DICOM says, doubted, or refused."""

import copy

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from dicom_series import write_series
from helper import make_affine
from plgg.core.errors import InputError
from plgg.core.volume import Volume, index_map
from plgg.data.dicom.read import read_dicom

SHAPE = (12, 12, 10)
VOLUME = Volume(
    np.random.default_rng(2).integers(1, 2000, SHAPE).astype(np.int32),
    make_affine((1.0, 1.0, 3.0), axes="LPS", turn_degrees=(8, -5, 3), shape=SHAPE),
)
OTHER = VOLUME.with_data(VOLUME.data[::-1, ::-1].copy())
FLAIR = ("ORIGINAL", "PRIMARY", "FLUID_ATTENUATED", "NONE")


def agree(found, true=VOLUME):
    """Every voxel of `true` lies at its place in `found`, with its value."""
    at = index_map(true.affine, found.affine)
    points = np.indices(true.shape).reshape(3, -1)
    places = at[:3, :3] @ points + at[:3, 3:]
    assert np.abs(places - np.rint(places)).max() < 0.02
    values = found.data[tuple(np.rint(places).astype(int))]
    return found.shape == true.shape and np.allclose(values, true.data.ravel(), rtol=1e-5)


def refused(path):
    with pytest.raises(InputError) as caught:
        read_dicom(path)
    return str(caught.value)


def item(**values):
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def enhanced(folder, volume=VOLUME, **settings):
    """An enhanced file, its data set, and its frames."""
    (path,) = write_series(folder, volume, enhanced=True, **settings)
    dataset = pydicom.dcmread(path)
    size = len(dataset.PixelData) // dataset.NumberOfFrames
    frames = [dataset.PixelData[n : n + size] for n in range(0, len(dataset.PixelData), size)]
    return path, dataset, frames


PRIVATE = {
    "PixelSpacing": lambda _: [2, 2],
    "ImageOrientationPatient": lambda _: [1, 0, 0, 0, -1, 0],
    "RescaleSlope": lambda n: 1 + n,
}


@pytest.mark.parametrize("keyword", PRIVATE)
@pytest.mark.parametrize("kind", ["private", "converted"])
def test_what_private_groups_repeat_with_other_values_is_not_read(tmp_path, keyword, kind):
    path, dataset, _ = enhanced(tmp_path)
    shared = dataset.SharedFunctionalGroupsSequence[0]
    shared.PixelValueTransformationSequence = [item(RescaleSlope=1, RescaleIntercept=0)]
    for n, group in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        del group.PixelValueTransformationSequence
        other = [item(**{keyword: PRIVATE[keyword](n)})]
        if kind == "private":
            block = group.private_block(0x2005, "Philips MR Imaging DD 005", create=True)
            block.add_new(0x0F, "SQ", other)
        else:
            group.UnassignedPerFrameConvertedAttributesSequence = other
    dataset.save_as(path)
    assert agree(read_dicom(tmp_path).volume)


def test_a_private_position_does_not_stand_for_one_that_is_missing(tmp_path):
    path, dataset, _ = enhanced(tmp_path)
    for n, group in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        position = group.PlanePositionSequence[0].ImagePositionPatient
        block = group.private_block(0x2005, "Philips MR Imaging DD 005", create=True)
        block.add_new(0x0F, "SQ", [item(ImagePositionPatient=position)])
        if n == 4:
            del group.PlanePositionSequence
    dataset.save_as(path)
    assert "1 of 10 images do not say where they lie" in refused(tmp_path)


@pytest.mark.parametrize("component", ["PHASE", "REAL", "IMAGINARY"])
def test_a_part_of_the_complex_signal_is_no_flair(tmp_path, component):
    tags = {"ComplexImageComponent": component}
    write_series(tmp_path, VOLUME, enhanced=True, image_type=FLAIR, tags=tags)
    (doubt,) = read_dicom(tmp_path).doubts
    assert "by its headers it is a phase image, not a FLAIR" in doubt


def test_magnitude_is_chosen_before_a_phase_that_was_acquired_first(tmp_path):
    for number, volume, component in ((5, VOLUME, "MAGNITUDE"), (6, OTHER, "PHASE")):
        uids = ["1.2.3", f"1.2.3.{number}", "1.2.3.9"]
        tags = {"ComplexImageComponent": component, "AcquisitionTime": f"12000{6 - number}"}
        folder = tmp_path / component
        settings = {"number": number, "uids": uids, "tags": tags, "image_type": FLAIR}
        write_series(folder, volume, enhanced=True, **settings)
    found = read_dicom(tmp_path)
    assert agree(found.volume)
    assert not found.doubts


def test_magnitude_and_phase_in_one_file_are_told_apart(tmp_path):
    path, dataset, frames = enhanced(tmp_path)
    groups = []
    for component in ("PHASE", "MAGNITUDE"):
        for group in copy.deepcopy(list(dataset.PerFrameFunctionalGroupsSequence)):
            frame = item(FrameType=list(FLAIR), ComplexImageComponent=component)
            group.MRImageFrameTypeSequence = [frame]
            groups.append(group)
    dataset.PerFrameFunctionalGroupsSequence = groups
    dataset.NumberOfFrames = len(groups)
    dataset.PixelData = b"\3" * sum(map(len, frames)) + b"".join(frames)
    dataset.save_as(path)
    found = read_dicom(tmp_path)
    assert agree(found.volume)
    assert not found.doubts


def test_a_phase_image_of_ge_is_told_by_its_own_number(tmp_path):
    def phase(dataset, _):
        dataset.private_block(0x0043, "GEMS_PARM_01", create=True).add_new(0x2F, "SS", 1)

    write_series(tmp_path, VOLUME, image_type=("ORIGINAL", "PRIMARY", "OTHER"), change=phase)
    assert "a phase image" in read_dicom(tmp_path).doubts[0]


def transposed(dataset, k):
    if k >= 5:
        across = list(dataset.ImageOrientationPatient)
        dataset.ImageOrientationPatient = across[3:] + across[:3]
        dataset.PixelData = np.ascontiguousarray(dataset.pixel_array.T).tobytes()


def turned_about_the_diagonal(dataset, k):
    if k:
        across, down = np.array(dataset.ImageOrientationPatient, float).reshape(2, 3)
        axis = (across + down) / np.linalg.norm(across + down)
        cosine, sine = np.cos(np.pi / 6), np.sin(np.pi / 6)
        turned = [
            cosine * v + sine * np.cross(axis, v) + (1 - cosine) * (axis @ v) * axis
            for v in (across, down)
        ]
        dataset.ImageOrientationPatient = [f"{x:.8f}" for x in np.concatenate(turned)]


@pytest.mark.parametrize("change", [transposed, turned_about_the_diagonal])
def test_slices_that_share_a_diagonal_alone_are_not_parallel(tmp_path, change):
    write_series(tmp_path, VOLUME, change=change)
    assert "its slices have different orientations" in refused(tmp_path)


def test_an_image_in_several_files_is_read_whole_or_refused(tmp_path):
    path, dataset, frames = enhanced(tmp_path)
    path.unlink()
    groups = list(dataset.PerFrameFunctionalGroupsSequence)
    dataset.ConcatenationUID, dataset.InConcatenationTotalNumber = "1.2.9.9", 2
    for n, part in enumerate((slice(0, 6), slice(6, None))):
        dataset.PerFrameFunctionalGroupsSequence = groups[part]
        dataset.NumberOfFrames = len(groups[part])
        dataset.PixelData = b"".join(frames[part])
        dataset.InConcatenationNumber = n + 1
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{n + 1}"
        dataset.save_as(tmp_path / f"{n}.dcm")
    assert agree(read_dicom(tmp_path).volume)
    (tmp_path / "1.dcm").unlink()
    assert "holds 1 of the 2 files of an image" in refused(tmp_path)


def test_each_file_of_an_image_may_hold_an_echo(tmp_path):
    path, dataset, frames = enhanced(tmp_path)
    path.unlink()
    dataset.ConcatenationUID, dataset.InConcatenationTotalNumber = "1.2.9.9", 2
    groups = list(dataset.PerFrameFunctionalGroupsSequence)
    for n, echo_ms in enumerate((20.0, 120.0)):
        for group in groups:
            group.MREchoSequence = [item(EffectiveEchoTime=echo_ms)]
        del dataset.SharedFunctionalGroupsSequence[0].MREchoSequence
        dataset.SharedFunctionalGroupsSequence[0].MREchoSequence = []
        dataset.PixelData = b"".join(frames) if n else b"\1" * sum(map(len, frames))
        dataset.InConcatenationNumber = n + 1
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{n + 1}"
        dataset.save_as(tmp_path / f"{n}.dcm")
    assert agree(read_dicom(tmp_path).volume)


def test_slices_of_an_echo_that_are_partly_derived_stay_together(tmp_path):
    uids = ["1.2.3", "1.2.3.5", "1.2.3.9"]

    def derived(dataset, k):
        if k % 2:
            dataset.ImageType = ["DERIVED", "PRIMARY", "M", "ND"]

    write_series(tmp_path / "late", VOLUME, uids=uids, change=derived)
    write_series(tmp_path / "early", OTHER, uids=uids, change=derived, echo_ms=20.0)
    assert agree(read_dicom(tmp_path).volume)


@pytest.mark.parametrize("value", ["UNKNOWN", "-3"])
def test_a_count_that_is_none_costs_no_scan(tmp_path, value):
    def odd(dataset, _):
        dataset.add_new(0x00201002, "LO", value)

    write_series(tmp_path, VOLUME, change=odd)
    found = read_dicom(tmp_path)
    assert agree(found.volume)
    assert not found.doubts


def test_images_that_the_headers_count_and_are_not_there_are_a_doubt(tmp_path):
    write_series(tmp_path / "all", VOLUME, tags={"ImagesInAcquisition": 10})
    assert not read_dicom(tmp_path / "all").doubts
    tags = {"ImagesInAcquisition": 10}
    write_series(tmp_path / "some", VOLUME, tags=tags, change=lambda _, k: k < 7)
    (doubt,) = read_dicom(tmp_path / "some").doubts
    assert "its headers count 10 images, and 7 are there" in doubt


def later_echo(dataset, k):
    dataset.EchoTime = 15.0 if k % 2 else 120.0


def no_inversion(dataset, k):
    if k > 5:
        del dataset.InversionTime


def projection(dataset, k):
    if k == 9:
        dataset.ImageType = ["DERIVED", "SECONDARY", "PROJECTION IMAGE"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (later_echo, "its slices have different echo times (15 ms and 120 ms)"),
        (no_inversion, "its slices have different inversion times (2500 ms, and none)"),
        (projection, "its series holds 1 image of another kind elsewhere"),
    ],
)
def test_slices_of_unlike_kinds_are_a_doubt(tmp_path, change, said):
    write_series(tmp_path, VOLUME, change=change)
    assert any(said in doubt for doubt in read_dicom(tmp_path).doubts)


def test_a_localizer_under_the_series_identifier_is_left_aside(tmp_path):
    uids = ["1.2.3", "1.2.3.5", "1.2.3.9"]
    write_series(tmp_path / "scan", VOLUME, uids=uids)
    affine = make_affine((1.0, 1.0, 3.0), axes="PSR", shape=(12, 12, 3))
    scout = Volume(VOLUME.data[:, :, :3].copy(), affine)
    kind = ("ORIGINAL", "PRIMARY", "LOCALIZER")
    write_series(tmp_path / "scout", scout, uids=uids, image_type=kind, echo_ms=5.0)
    found = read_dicom(tmp_path)
    assert agree(found.volume)
    assert "1 localizer" in found.why
    assert agree(read_dicom(tmp_path, series=5).volume)
    assert "3 images of another kind" in found.doubts[0]


def test_pixels_beyond_those_declared_are_refused(tmp_path):
    write_series(tmp_path / "rows", VOLUME, tags={"Rows": 6})
    assert "holds more pixels than its header declares" in refused(tmp_path / "rows")
    path, dataset, _ = enhanced(tmp_path / "frames")
    del dataset.PerFrameFunctionalGroupsSequence[7:]
    dataset.NumberOfFrames = 7
    dataset.save_as(path)
    assert "holds more pixels than its header declares" in refused(tmp_path / "frames")


def test_real_world_values_scale_what_nothing_else_does(tmp_path):
    path, dataset, frames = enhanced(tmp_path)
    scaled = []
    for n, group in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        del group.PixelValueTransformationSequence
        factor = 2 ** (n % 3)
        mapping = item(RealWorldValueSlope=1 / factor, RealWorldValueIntercept=0.0)
        group.RealWorldValueMappingSequence = [mapping]
        stored = np.frombuffer(frames[n], np.uint16) * np.uint16(factor)
        scaled.append(stored.astype(np.uint16).tobytes())
    dataset.PixelData = b"".join(scaled)
    dataset.save_as(path)
    assert agree(read_dicom(tmp_path).volume)


def test_a_classic_file_may_be_scaled_by_real_world_values_alone(tmp_path):
    def mapped(dataset, k):
        factor = 2 ** (k % 3)
        del dataset.RescaleSlope, dataset.RescaleIntercept
        mapping = item(RealWorldValueSlope=1 / factor, RealWorldValueIntercept=0.0)
        dataset.RealWorldValueMappingSequence = [mapping]
        dataset.PixelData = (dataset.pixel_array * np.uint16(factor)).tobytes()

    write_series(tmp_path, VOLUME, change=mapped)
    assert agree(read_dicom(tmp_path).volume)


def test_slices_of_which_only_some_are_rescaled_are_refused(tmp_path):
    def lost(dataset, k):
        dataset.RescaleSlope = 2.5
        if k == 3:
            del dataset.RescaleSlope

    write_series(tmp_path, VOLUME, change=lost)
    assert "only some of its slices say how their values are scaled" in refused(tmp_path)


def test_a_lookup_table_is_not_passed_over(tmp_path):
    table = item(LUTDescriptor=[2, 0, 16], ModalityLUTType="US", LUTData=b"\1\0\0\0")
    write_series(tmp_path, VOLUME, tags={"ModalityLUTSequence": [table]})
    assert "a lookup table" in refused(tmp_path)


@pytest.mark.parametrize("count", [None, 7])
def test_frames_that_are_counted_and_described_otherwise_are_refused(tmp_path, count):
    path, dataset, _ = enhanced(tmp_path)
    del dataset.NumberOfFrames
    if count:
        dataset.NumberOfFrames = count
    dataset.save_as(path)
    assert "describes more or fewer frames than it counts" in refused(tmp_path)


def test_one_slice_without_a_frame_of_reference_is_not_called_another_scan(tmp_path):
    def lost(dataset, k):
        if k == 2:
            del dataset.FrameOfReferenceUID

    write_series(tmp_path, VOLUME, change=lost)
    assert agree(read_dicom(tmp_path).volume)


def test_the_standards_own_words_for_types_are_known(tmp_path):
    settings = {"enhanced": True, "description": "brain", "inversion_ms": None}
    write_series(tmp_path / "flair", VOLUME, image_type=FLAIR, **settings)
    found = read_dicom(tmp_path / "flair")
    assert not found.doubts
    assert "FLAIR is in its type" in found.why
    projected = ("DERIVED", "PRIMARY", "FLUID_ATTENUATED", "MAX_IP")
    write_series(tmp_path / "mip", VOLUME, image_type=projected, **settings)
    assert "a projection (MIP)" in read_dicom(tmp_path / "mip").doubts[0]
