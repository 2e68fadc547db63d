"""The RTSTRUCT's contours, filled again, are the mask: to the voxel, wherever its slices lie."""

import hypothesis
import numpy as np
import pydicom
import pytest
from hypothesis import strategies
from matplotlib.path import Path as Outline
from scipy import ndimage

from dicom_seg import GRIDS
from plgg.core.volume import Volume
from plgg.data.dicom.contours import contours, slice_contours
from study_objects import drtdump, filled, nothing, rasterised_region, study


def rasterised(found):
    """The mask that the contours of an RTSTRUCT stand for, on the grid of its study."""
    (region,) = found.read("rtstruct.dcm").ROIContourSequence
    return rasterised_region(found, region)


def holed(like):
    """A block with holes, one in another's island, a diagonal touch, and single voxels."""
    data = np.zeros(like.shape, dtype=np.bool_)
    data[1:12, 1:10, 2:5] = True
    data[3:10, 3:8, 3] = False
    data[5:8, 4:7, 3] = True
    data[6, 5, 3] = False
    data[3, 3, 4] = data[4, 4, 4] = data[9, 2, 4] = False
    data[13, 10, 1] = data[0, 0, 6] = True
    return like.with_data(data)


@pytest.mark.parametrize("enhanced", [False, True], ids=["classic", "enhanced"])
@pytest.mark.parametrize("name", GRIDS)
def test_filled_again_it_is_the_mask(name, enhanced, tmp_path):
    found = study(tmp_path, name, draw=holed, enhanced=enhanced)
    assert np.array_equal(rasterised(found), found.mask.data)


@pytest.mark.parametrize("enhanced", [False, True], ids=["classic", "enhanced"])
def test_every_contour_lies_on_the_image_that_it_refers_to(enhanced, tmp_path):
    found = study(tmp_path, "doubly oblique", enhanced=enhanced)
    images = {one.SOPInstanceUID: one for one in found.sources}
    structures = found.read("rtstruct.dcm")
    for contour in structures.ROIContourSequence[0].ContourSequence:
        (named,) = contour.ContourImageSequence
        image = images[named.ReferencedSOPInstanceUID]
        position, across, down = plane(image, named.get("ReferencedFrameNumber"))
        points = np.reshape(np.array(contour.ContourData, dtype=float), (-1, 3))
        away = (points - position) @ np.cross(across, down)
        np.testing.assert_allclose(away, 0, atol=0.01)
    (frame,) = structures.ReferencedFrameOfReferenceSequence
    assert frame.FrameOfReferenceUID == found.sources[0].FrameOfReferenceUID
    series = frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence[0]
    assert series.SeriesInstanceUID == found.sources[0].SeriesInstanceUID
    assert {one.ReferencedSOPInstanceUID for one in series.ContourImageSequence} == set(images)


def plane(image, number):
    if number is None:
        orientation, position = image.ImageOrientationPatient, image.ImagePositionPatient
    else:
        shared = image.SharedFunctionalGroupsSequence[0]
        orientation = shared.PlaneOrientationSequence[0].ImageOrientationPatient
        frame = image.PerFrameFunctionalGroupsSequence[number - 1]
        position = frame.PlanePositionSequence[0].ImagePositionPatient
    across, down = np.reshape(np.array(orientation, dtype=float), (2, 3))
    return np.array(position, dtype=float), across, down


def test_no_tumour_is_a_region_without_contours(tmp_path):
    found = study(tmp_path, draw=nothing)
    structures = found.read("rtstruct.dcm")
    assert [one.ROIName for one in structures.StructureSetROISequence] == ["Tumour"]
    assert "ContourSequence" not in structures.ROIContourSequence[0]
    assert not rasterised(found).any()


def test_values_fit_what_dicom_allows(tmp_path, monkeypatch):
    found = study(tmp_path, "oblique", draw=holed)
    monkeypatch.setattr(pydicom.config.settings, "reading_validation_mode", pydicom.config.RAISE)
    read = found.read("rtstruct.dcm")
    read.walk(lambda _, element: element.value)
    assert read.Modality == "RTSTRUCT"
    assert "RT Structure Set" in drtdump(found.folder / "rtstruct.dcm")
    assert read.StructureSetROISequence[0].ROIGenerationAlgorithm == "AUTOMATIC"


@hypothesis.given(
    seed=strategies.integers(0, 2**32 - 1),
    share=strategies.floats(0.02, 0.98),
    smooth=strategies.sampled_from([0.0, 0.8, 1.6]),
)
def test_any_slice_filled_again_is_itself(seed, share, smooth):
    noise = np.random.default_rng(seed).random((19, 23))
    if smooth:
        noise = ndimage.gaussian_filter(noise, smooth)
    inside = noise <= np.quantile(noise, share)
    found = np.zeros_like(inside)
    for points in slice_contours(inside):
        one = filled(points, inside.shape)
        assert not (found & one).any()
        found |= one
    assert np.array_equal(found, inside)


def test_the_area_is_that_of_the_voxels_but_for_the_corners():
    mask = Volume(np.zeros((30, 20, 3), dtype=bool), np.diag([0.9, 1.1, 4.0, 1.0]))
    mask.data[5:25, 4:16, 1] = True
    ((index, points),) = contours(mask)
    x, y, _ = points.T
    area = abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2
    assert index == 1
    assert area == pytest.approx((20 * 12 - 0.5) * 0.9 * 1.1)
    assert len(Outline(points[:, :2]).vertices) == len(points)
