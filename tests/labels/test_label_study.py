"""Labels of the mask go back to a DICOM study: a group of the SR and a region of interest each."""

import highdicom as hd
import numpy as np
import pydicom
import pytest
from highdicom.sr import srread
from pydicom.sr.codedict import codes

from plgg.config import Label
from plgg.data.dicom.structures import COLOURS
from plgg.data.labels import region
from plgg.data.result import LabelResult
from plgg.report.parts import PREDICTION, REGIONS
from study_objects import drtdump, dsrdump, lacking_modules, rasterised_region, study, texts

LABELS = (
    Label(name="whole", values=(1, 2, 3, 4)),
    Label(name="solid_part", values=(1, 3)),
    Label(name="cyst", values=(3,)),
    Label(name="oedema", values=(4,)),
    Label(name="tumour", values=(2,)),
)
TITLES = ["Tumour", "Solid part", "Cyst", "Oedema", "Tumour (inner label)"]


def numbers_of(mask):
    """Bands along the first axis: the tumour alone, solid part, cyst within it; no oedema."""
    numbers = mask.data.astype(np.uint8)
    low, *_, high = np.flatnonzero(mask.data.any(axis=(1, 2)))
    third = low + (high - low + 1) // 3
    solid = np.zeros_like(mask.data)
    solid[:third] = mask.data[:third]
    numbers[solid] = 2
    numbers[: low + 1][solid[: low + 1]] = 3
    numbers[high][mask.data[high] > 0] = 5
    return mask.with_data(numbers)


def said_labels(numbers):
    """As a result tells them."""
    return tuple(
        LabelResult(
            name=label.name,
            number=place + 1,
            values=label.values,
            volume_ml=round(
                float(region(numbers.data, LABELS, place).sum() * numbers.voxel_volume_ml), 4
            ),
            threshold=0.5,
            smallest_ml=0.0,
        )
        for place, label in enumerate(LABELS)
    )


@pytest.fixture(scope="module", params=["classic", "enhanced"])
def found(request, tmp_path_factory):
    folder, enhanced = tmp_path_factory.mktemp(request.param), request.param == "enhanced"
    plain = study(folder / "plain", "doubly oblique", enhanced=enhanced)
    labels = said_labels(numbers_of(plain.mask))
    assert [one.volume_ml > 0 for one in labels] == [True, True, True, False, True]
    return study(
        folder / "labels",
        "doubly oblique",
        enhanced=enhanced,
        result={"labels": labels},
        numbers=numbers_of,
    )


def groups_of(found):
    report = srread(found.folder / "measurements.dcm").content
    return report.get_volumetric_roi_measurement_groups()


def test_every_label_has_a_group_with_its_volume_and_its_segment(found):
    segmentation = found.read("segmentation.dcm")
    groups = groups_of(found)
    assert [group.tracking_identifier for group in groups] == TITLES
    rows = zip(groups, found.result.labels, segmentation.SegmentSequence, strict=True)
    for group, label, segment in rows:
        (volume,) = group.get_measurements(name=codes.SCT.Volume)
        assert (volume.value, volume.unit.value) == (label.volume_ml, "mL")
        referenced = group.referenced_segment
        assert referenced.referenced_sop_instance_uid == segmentation.SOPInstanceUID
        assert list(referenced[0].referenced_segment_numbers) == [label.number]
        assert group.tracking_uid == segment.TrackingUID
        assert group.finding_type == hd.sr.CodedConcept.from_dataset(
            segment.SegmentedPropertyTypeCodeSequence[0]
        )


def test_the_volume_of_a_group_is_that_of_the_segment_that_it_names(found):
    segmentation = hd.seg.segread(found.folder / "segmentation.dcm")
    for group in groups_of(found):
        (number,) = group.referenced_segment[0].referenced_segment_numbers
        volume = segmentation.get_volume(segment_numbers=[number], combine_segments=True)
        ml = float((volume.array > 0).sum()) * found.mask.voxel_volume_ml
        (measured,) = group.get_measurements(name=codes.SCT.Volume)
        assert measured.value == pytest.approx(ml, abs=1e-3)


def test_a_part_says_that_it_is_one_and_the_whole_keeps_its_interval(found):
    whole, *parts = groups_of(found)
    said = [" ".join(texts(group[0])) for group in parts]
    assert all("Part of the segment Tumour" in text for text in said)
    assert not any("conformal" in text for text in said)
    assert "conformal" in " ".join(texts(whole[0]))
    others = srread(found.folder / "measurements.dcm").content.get_image_measurement_groups()
    assert [one.tracking_identifier for one in others].count("Tumour") == 1


@pytest.mark.parametrize("name", ["segmentation.dcm", "measurements.dcm", "rtstruct.dcm"])
def test_every_value_is_allowed_and_nothing_mandatory_lacks(found, name, monkeypatch):
    monkeypatch.setattr(pydicom.config.settings, "reading_validation_mode", pydicom.config.RAISE)
    read = found.read(name)
    read.walk(lambda _, element: element.value)
    assert lacking_modules(read) == []


def test_dcmtk_accepts_both(found):
    assert dsrdump(found.folder / "measurements.dcm").count('"Referenced Segment")') == len(LABELS)
    assert "RT Structure Set" in drtdump(found.folder / "rtstruct.dcm")


def test_every_label_is_a_region_of_interest_that_filled_again_is_it(found):
    structures = found.read("rtstruct.dcm")
    assert [one.ROINumber for one in structures.StructureSetROISequence] == [1, 2, 3, 4, 5]
    assert [one.ROIName for one in structures.StructureSetROISequence] == TITLES
    observed = [one.ReferencedROINumber for one in structures.RTROIObservationsSequence]
    assert observed == [1, 2, 3, 4, 5]
    numbers = numbers_of(found.mask).data
    for place, drawn in enumerate(structures.ROIContourSequence):
        assert drawn.ReferencedROINumber == place + 1
        inside = rasterised_region(found, drawn)
        assert np.array_equal(inside, region(numbers, LABELS, place))
        assert tuple(drawn.ROIDisplayColor) == COLOURS[place]


def test_colours_are_those_of_the_pages():
    as_hex = [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in COLOURS]
    assert as_hex == [PREDICTION, *REGIONS]


def test_objects_of_other_labels_have_other_names(found, tmp_path):
    plain = found.again(tmp_path / "plain", labels=())
    for name in ("segmentation.dcm", "measurements.dcm", "rtstruct.dcm"):
        assert plain.read(name).SOPInstanceUID != found.read(name).SOPInstanceUID
    (group,) = groups_of(plain)
    assert group.tracking_uid == groups_of(found)[0].tracking_uid
