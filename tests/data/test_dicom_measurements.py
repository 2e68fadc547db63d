"""The SR holds the numbers of the result, in a form that others read, and names nobody."""

import numpy as np
import pydicom
import pytest
from highdicom.sr import Comprehensive3DSR, MeasurementReport, srread
from pydicom.sr.codedict import codes

from dicom_seg import GRIDS, blob, scan
from dicom_series import write_series
from plgg.data.dicom.codes import SCHEME, private_code
from study_objects import (
    CLASSES,
    MUST_CARRY,
    SECRETS,
    dsrdump,
    lacking_modules,
    marker_of,
    nothing,
    secrets_in,
    study,
    texts,
)


def report_of(found):
    read = srread(found.folder / "measurements.dcm")
    assert isinstance(read, Comprehensive3DSR)
    assert isinstance(read.content, MeasurementReport)
    return read.content


def groups_of(report):
    """The group of the segment, and the others by the name that they are tracked by."""
    (volume,) = report.get_volumetric_roi_measurement_groups()
    others = report.get_image_measurement_groups()
    return volume, {one.tracking_identifier: one for one in others}


def below(measurement):
    return {
        item.name.meaning: getattr(item, "value", None)
        for item in measurement[0].ContentSequence
        if item.ValueType == "NUM"
    }


@pytest.fixture(scope="module", params=["classic", "enhanced"])
def found(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    return study(folder, "doubly oblique", enhanced=request.param == "enhanced")


def test_volume_and_interval_come_back_to_the_last_digit(found):
    volume, _ = groups_of(report_of(found))
    (measured,) = volume.get_measurements(name=codes.SCT.Volume)
    within = found.result.volume_interval
    assert measured.value == found.result.volume_ml
    assert measured.unit.value == "mL"
    assert below(measured) == {
        private_code("interval-low").meaning: within.low_ml,
        private_code("interval-high").meaning: within.high_ml,
        private_code("interval-level").meaning: within.level,
        private_code("interval-cases").meaning: within.n_patients,
    }


def test_diameters_come_back_with_their_ends_in_the_patients_space(found):
    _, others = groups_of(report_of(found))
    lines = found.result.diameters
    group, values = others["Tumour"], {}
    for name, length, ends in (
        (codes.SCT.LongAxis, lines.largest_mm, lines.ends_mm[:2]),
        (codes.SCT.ShortAxis, lines.perpendicular_mm, lines.ends_mm[2:]),
    ):
        (measured,) = group.get_measurements(name=name)
        assert (measured.value, measured.unit) == (length, codes.UCUM.Millimeter)
        (place,) = (item for item in measured[0].ContentSequence if item.ValueType == "SCOORD3D")
        points = np.reshape(place.GraphicData, (2, 3))
        np.testing.assert_allclose(points, np.array(ends) * (-1, -1, 1), atol=1e-4)
        assert np.linalg.norm(points[0] - points[1]) == pytest.approx(length, abs=0.01)
        source = found.sources[0]
        assert place.ReferencedFrameOfReferenceUID == source.FrameOfReferenceUID
        values[name.meaning] = measured
    (depth,) = group.get_measurements(name=codes.SCT.Depth)
    (product,) = group.get_measurements(name=private_code("product"))
    assert (depth.value, product.value) == (lines.depth_mm, lines.product_mm2)
    (plane,) = group.get_qualitative_evaluations(name=private_code("plane"))
    assert plane.value.meaning.lower() == lines.plane


def test_every_class_of_the_marker_has_its_probability(found):
    _, others = groups_of(report_of(found))
    group = others["Genetic marker"]
    shares = {}
    for measured in group.get_measurements(name=codes.DCM.Probability):
        (named,) = (
            one for one in measured[0].ContentSequence if one.name == private_code("marker")
        )
        shares[named.value.value] = measured.value
    assert shares == found.result.marker.probabilities
    (said,) = group.get_qualitative_evaluations(name=private_code("marker"))
    assert said.value == private_code("BRAF_fusion", "BRAF_fusion")


def test_an_abstention_gives_its_reason_and_no_probability(tmp_path):
    found = study(tmp_path, result={"marker": marker_of(withheld=True)})
    _, others = groups_of(report_of(found))
    group = others["Genetic marker"]
    assert group.get_measurements() == []
    (said,) = group.get_qualitative_evaluations(name=private_code("marker"))
    assert said.value == private_code("withheld")
    assert found.result.marker.statement in list(texts(group[0]))
    assert not set(CLASSES) & set(texts(group[0]))


def test_every_gate_has_its_verdict_and_only_objections_their_words(found):
    _, others = groups_of(report_of(found))
    group = others["Quality of the scan"]
    said = {one.name.value: one.value.value for one in group.get_qualitative_evaluations()}
    assert said == {
        "gate-brain-volume": "doubtful",
        "gate-rotation": "good",
        "gate-familiarity": "good",
    }
    words = list(texts(group[0]))
    assert "a brain of 2382 mL is implausible" in words
    assert "measured 6.754; limits: 30° or less" in words
    assert "turned by 7°" not in words


def test_it_refers_to_the_segment_and_to_every_image(found):
    volume, _ = groups_of(report_of(found))
    segmentation = found.read("segmentation.dcm")
    segment = volume.referenced_segment
    assert segment.referenced_sop_instance_uid == segmentation.SOPInstanceUID
    assert list(segment[0].referenced_segment_numbers) == [1]
    assert volume.tracking_uid == segmentation.SegmentSequence[0].TrackingUID
    images = {str(one.SOPInstanceUID) for one in found.sources}
    sources = [one for one in segment if one.name == codes.DCM.SourceImageForSegmentation]
    assert {str(one.referenced_sop_instance_uid) for one in sources} == images
    evidence = {uid for *_, uid, _ in srread(found.folder / "measurements.dcm").get_evidence()}
    assert evidence == images | {segmentation.SOPInstanceUID}


def test_model_version_and_purpose_are_said(found):
    said = "\n".join(texts(found.read("measurements.dcm")))
    model = found.result.models[0]
    assert f"paper multitask, weights sha256 {model.sha256}" in said
    assert model.calibration_sha256 in said
    assert "For research use only." in said
    assert "its headers name a contrast agent" in said
    assert '"threshold":0.45' in said


def test_dcmtk_accepts_it_and_shows_the_same(found):
    dump = dsrdump(found.folder / "measurements.dcm")
    assert dump.startswith("Comprehensive 3D SR Document")
    assert f'"Volume")="{found.result.volume_ml:.10g}" (mL,UCUM' in dump
    assert "(BRAF_fusion,99PLGG," in dump


@pytest.mark.parametrize("name", ["segmentation.dcm", "measurements.dcm", "rtstruct.dcm"])
def test_mandatory_modules_are_whole_and_every_value_is_allowed(found, name, monkeypatch):
    monkeypatch.setattr(pydicom.config.settings, "reading_validation_mode", pydicom.config.RAISE)
    read = found.read(name)
    read.walk(lambda _, element: element.value)
    assert lacking_modules(read) == []


def test_private_codes_have_a_scheme_and_meanings_that_fit(found):
    read = found.read("measurements.dcm")
    (scheme,) = read.CodingSchemeIdentificationSequence
    assert scheme.CodingSchemeDesignator == SCHEME
    known = ("DCM", "SCT", "UCUM", "LN", "RFC5646", SCHEME)
    read.walk(
        lambda _, element: (
            pytest.fail(f"{element.value} is no scheme")
            if element.keyword == "CodingSchemeDesignator" and element.value not in known
            else None
        )
    )


def test_no_tumour_is_a_report_without_diameters(tmp_path):
    found = study(tmp_path, draw=nothing)
    volume, others = groups_of(report_of(found))
    (measured,) = volume.get_measurements(name=codes.SCT.Volume)
    assert measured.value == 0
    assert "Tumour" not in others
    dsrdump(found.folder / "measurements.dcm")


@pytest.mark.parametrize(
    "classes", [("a" * 70, "b", "c"), ("Überschuss", "山田", "^/=$"), ("x y", "1", "é" * 64)]
)
def test_classes_may_be_called_anything(classes, tmp_path):
    found = study(tmp_path, result={"marker": marker_of(classes=classes)})
    _, others = groups_of(report_of(found))
    (said,) = others["Genetic marker"].get_qualitative_evaluations(name=private_code("marker"))
    assert said.value.value == classes[1]
    dsrdump(found.folder / "measurements.dcm")


def test_a_class_that_can_be_no_code_has_one_all_the_same(tmp_path):
    found = study(tmp_path, result={"marker": marker_of(classes=("a\\b", " c", "a/b"))})
    _, others = groups_of(report_of(found))
    codes_of = {
        str(one.value.value)
        for measured in others["Genetic marker"].get_measurements()
        for one in measured[0].ContentSequence
    }
    assert len(codes_of) == 3
    dsrdump(found.folder / "measurements.dcm")


def test_content_and_the_rest_name_nobody(tmp_path):
    found = study(tmp_path, tags=SECRETS)
    sources = found.sources
    for name in ("segmentation.dcm", "measurements.dcm", "rtstruct.dcm"):
        read = found.read(name)
        assert secrets_in("\n".join(texts(read))) == []
        plain = [one for one in read.iterall() if one.VR not in ("SQ", "UI", "OB", "OW")]
        carried = {one.keyword for one in plain if secrets_in(str(one.value))}
        assert carried <= MUST_CARRY, name
        assert read.PatientName == SECRETS["PatientName"]
        assert read.StudyInstanceUID == sources[0].StudyInstanceUID


@pytest.mark.real
def test_real_headers_carry_the_measurements(shared_data, tmp_path):
    series = sorted((shared_data / "dicom").glob("**/anatomical/001"))
    assert series
    for number, folder in enumerate(series):

        def draw(like):
            data = np.zeros(like.shape, dtype=np.bool_)
            data[20:40, 30:35, 1:3] = True
            return like.with_data(data)

        (tmp_path / str(number)).mkdir()
        found = study(tmp_path / str(number), series=folder, draw=draw)
        volume, _ = groups_of(report_of(found))
        (measured,) = volume.get_measurements(name=codes.SCT.Volume)
        assert measured.value == found.result.volume_ml
        dsrdump(found.folder / "measurements.dcm")
        for name in ("segmentation.dcm", "measurements.dcm", "rtstruct.dcm"):
            assert lacking_modules(found.read(name)) == []


def test_a_source_that_cannot_carry_objects_costs_them_alone(tmp_path):
    from plgg.data.dicom.read import read_dicom
    from plgg.predict.study import has_study_objects, write_study_objects
    from study_objects import result_of

    write_series(tmp_path / "series", scan(GRIDS["axial"]), tags={"StudyInstanceUID": ""})
    mask = blob(read_dicom(tmp_path / "series").volume)
    result = result_of(mask, tmp_path / "series")
    found = write_study_objects(tmp_path, mask, tmp_path / "series", result, structures=True)
    assert [lost.partition(":")[0] for lost in found.lost] == ["no DICOM SEG was made"]
    assert not list(tmp_path.glob("*.dcm"))
    told = result.model_copy(update={"warnings": found.lost})
    assert has_study_objects(tmp_path, told, structures=True, document=True)
    assert not has_study_objects(tmp_path, result, structures=False, document=False)
