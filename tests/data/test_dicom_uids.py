"""UIDs follow from source, models, settings and content: the same twice is one object."""

import pydicom
import pytest

from plgg.config import InferenceConfig
from plgg.data.dicom.objects import OBJECTS, own_objects
from plgg.data.dicom.uids import derived_uid
from study_objects import MODEL, marker_of, study

TIMES = (
    "ContentDate", "ContentTime", "InstanceCreationDate", "InstanceCreationTime",
    "StructureSetDate", "StructureSetTime",
)  # fmt: skip
NAMES = ("segmentation.dcm", "measurements.dcm", "rtstruct.dcm")


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    return study(tmp_path_factory.mktemp("first"))


def without_times(read):
    for keyword in TIMES:
        if keyword in read:
            setattr(read, keyword, "")
    return read


def uids(found):
    return [
        (read.SOPInstanceUID, read.SeriesInstanceUID)
        for read in (found.read(name) for name in NAMES)
    ]


def test_a_uid_is_a_uuid_in_dicoms_form():
    uid = derived_uid("series", ["1.2.3"], None, 4)
    assert pydicom.uid.UID(uid).is_valid
    prefix, number = uid.rsplit(".", 1)
    assert prefix == "2.25"
    digits = f"{int(number):032x}"
    assert digits[12] == "8"
    assert digits[16] in "89ab"


def test_parts_are_told_apart():
    parts = [("a", "b"), ("ab",), ("a,b",), (["a", "b"],), ("a", "b", None), ("b", "a"), ("a", 1)]
    assert len({derived_uid(*one) for one in parts}) == len(parts)


def test_a_repeat_is_the_same_but_for_the_time(first, tmp_path):
    again = first.again(tmp_path / "again")
    assert uids(again) == uids(first)
    for name in NAMES:
        assert without_times(again.read(name)) == without_times(first.read(name))
        sizes = [(one.folder / name).stat().st_size for one in (first, again)]
        assert sizes[0] == sizes[1]


@pytest.mark.parametrize(
    "changes",
    [
        {"models": (MODEL.model_copy(update={"sha256": "aa" * 32}),)},
        {"models": (MODEL.model_copy(update={"calibration_sha256": None}),)},
        {"models": (MODEL, MODEL)},
        {"inference": InferenceConfig(mirror=True)},
        {"engine": "onnx, cpu, fp32"},
        {"threshold": 0.5},
        {"age_years": 9.0},
    ],
)
def test_another_model_or_setting_gives_other_objects_in_other_series(first, changes, tmp_path):
    other = first.again(tmp_path / "other", **changes)
    for one, two in zip(uids(first), uids(other), strict=True):
        assert not set(one) & set(two)


def test_a_threshold_of_each_scan_is_a_setting_and_its_number_is_not(first, tmp_path):
    one, two = (
        first.again(tmp_path / name, threshold=threshold, threshold_rule="expected-dice")
        for name, threshold in (("one", 0.31), ("two", 0.3100001))
    )
    assert uids(one) == uids(two)
    assert not set(uids(one)[0]) & set(uids(first)[0])


def test_what_a_machine_allows_changes_nothing(first, tmp_path):
    other = first.again(tmp_path / "other", inference=InferenceConfig(memory_gib=3.0))
    assert uids(other) == uids(first)


def test_other_contents_never_share_a_name(first, tmp_path):
    mask = first.mask.with_data(first.mask.data.copy())
    mask.data[0, 0, 0] = True
    moved = first.again(tmp_path / "moved", mask=mask)
    said = first.again(tmp_path / "said", marker=marker_of(withheld=True))
    (seg, sr, rt), (seg_2, sr_2, rt_2), (seg_3, sr_3, _) = map(uids, (first, moved, said))
    assert seg[0] != seg_2[0]
    assert sr[0] != sr_2[0]
    assert rt[0] != rt_2[0]
    assert seg == seg_3
    assert sr[0] != sr_3[0]


def test_another_scan_gives_other_objects(first, tmp_path):
    other = study(tmp_path)
    for one, two in zip(uids(first), uids(other), strict=True):
        assert not set(one) & set(two)


def test_own_objects_are_regular_files_in_the_order_of_sending(tmp_path):
    for name in (*OBJECTS, "other.dcm", "result.json"):
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in own_objects(tmp_path)] == list(OBJECTS)
    (tmp_path / "rtstruct.dcm").unlink()
    (tmp_path / "rtstruct.dcm").symlink_to(tmp_path / "other.dcm")
    (tmp_path / "report.dcm").unlink()
    (tmp_path / "report.dcm").mkdir()
    assert [path.name for path in own_objects(tmp_path)] == list(OBJECTS[:2])
    assert own_objects(tmp_path / "nowhere") == []
