"""Several results of one patient: their order, what is refused, what is warned of."""

from datetime import date

import numpy as np
import pytest
from measured import make_diameters, make_result

from helper import ODD_AFFINES, write_nifti
from plgg.core.errors import InputError
from plgg.core.files import write_json
from plgg.core.volume import Volume
from plgg.data.result import Component, Input, Model
from plgg.measure.diameters import diameters, diameters_by_plane
from plgg.measure.timeline import latest, read_timeline_scans, timeline, with_timeline

JANUARY, MARCH, JUNE = date(2024, 1, 1), date(2024, 3, 1), date(2024, 6, 1)


def moment(tmp_path, name, product, *, when=None, **changes):
    """A result as a folder has it; the second diameter is 20 mm."""
    lines = make_diameters(largest_mm=product / 20, perpendicular_mm=20.0) if product else None
    source = Input(path=f"{name}.nii.gz", kind="nifti", sha256=f"{abs(hash(name)):064x}"[:64])
    fields = {"input": source, "diameters": lines, "scan_date": when, "case_id": name}
    fields |= {} if product else {"volume_ml": 0.0, "volume_interval": None, "components": ()}
    result = make_result(**(fields | changes))
    (tmp_path / name).mkdir()
    write_json(tmp_path / name / "result.json", result.model_dump(mode="json"))
    return read_timeline_scans([tmp_path / name])[0]


def three(tmp_path, **changes):
    return (
        moment(tmp_path, "a", 1000, when=JANUARY, **changes),
        moment(tmp_path, "b", 450, when=MARCH, **changes),
        moment(tmp_path, "c", 600, when=JUNE, **changes),
    )


def test_scans_are_put_in_the_order_of_their_dates(tmp_path):
    a, b, c = three(tmp_path)
    found = timeline([c, a, b])
    assert [point.name for point in found.points] == ["a", "b", "c"]
    assert [point.days for point in found.points] == [0, 60, 152]
    assert [point.response for point in found.points] == ["baseline", "PR", "PD"]
    assert [point.baseline_percent for point in found.points] == [None, -55.0, -40.0]
    assert [point.nadir_percent for point in found.points] == [None, -55.0, pytest.approx(33.3333)]
    assert found.points[1].is_confirmed is False
    assert "clinical status" in found.note
    assert not found.warnings
    assert found == timeline([a, b, c])


def test_dates_that_are_given_go_before_those_of_the_results(tmp_path):
    three(tmp_path)
    folders = [tmp_path / name for name in "abc"]
    found = timeline(read_timeline_scans(folders, [JUNE, MARCH, JANUARY]))
    assert [point.name for point in found.points] == ["c", "b", "a"]


def test_without_dates_the_order_is_as_named_and_nothing_is_confirmed(tmp_path):
    moments = [moment(tmp_path, name, p) for name, p in (("a", 1000), ("b", 450), ("c", 440))]
    found = timeline(moments)
    assert [point.name for point in found.points] == ["a", "b", "c"]
    assert [point.days for point in found.points] == [None, None, None]
    assert found.points[1].is_confirmed is None
    assert "not all dates are known" in found.warnings[0]


def test_known_dates_that_contradict_the_order_are_refused_where_another_is_missing(tmp_path):
    a, b, _ = three(tmp_path)
    unknown = moment(tmp_path, "d", 900)
    with pytest.raises(InputError, match="is of an earlier scan than b"):
        timeline([b, unknown, a])
    assert [p.name for p in timeline([a, unknown, b]).points] == ["a", "d", "b"]


def test_two_scans_of_one_date_are_told(tmp_path):
    a, b = moment(tmp_path, "a", 1000, when=MARCH), moment(tmp_path, "b", 400, when=MARCH)
    found = timeline([a, b])
    assert [point.days for point in found.points] == [0, 0]
    assert "two scans are of one date" in found.warnings[0]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"patient_id": "P02"}, "is a prediction of patient P02"),
        ({"sex": "M"}, "of another sex"),
        ({"age_years": 12.0}, "age does not fit the dates"),
    ],
)
def test_another_patients_result_is_refused_by_what_is_known(tmp_path, changes, fault):
    a = moment(tmp_path, "a", 1000, when=JANUARY, sex="F", age_years=7.0)
    middle = moment(tmp_path, "m", 1000, when=MARCH, patient_id=None)
    fields = {"sex": "F", "age_years": 8.0} | changes
    other = moment(tmp_path, "b", 1000, when=JUNE, **fields)
    with pytest.raises(InputError, match=fault):
        timeline([a, middle, other])


def test_an_age_in_whole_years_is_no_contradiction(tmp_path):
    a = moment(tmp_path, "a", 1000, when=JANUARY, age_years=7.0)
    b = moment(tmp_path, "b", 1000, when=MARCH, age_years=8.0)
    assert len(timeline([a, b]).points) == 2


def test_one_scan_named_twice_is_refused(tmp_path):
    a = moment(tmp_path, "a", 1000)
    again = moment(tmp_path, "b", 1000, input=a.result.input)
    with pytest.raises(InputError, match="is a prediction of the same scan as a"):
        timeline([a, again])


@pytest.mark.parametrize(
    ("changes", "warning"),
    [
        ({"patient_id": None}, "taken on trust"),
        ({"models": (Model(sha256="f" * 64, calibration_sha256=None, preset="small", arm="single",
                           epoch=1, split=0, seed=0),)}, "same model"),
        ({"threshold": 0.25}, "same threshold"),
        ({"versions": {"plgg": "9"}}, "same version"),
        ({"components": (Component(volume_ml=9.0, centre_mm=(0, 0, 0)),) * 2}, "new lesion"),
    ],
)  # fmt: skip
def test_what_makes_scans_hard_to_compare_is_told(tmp_path, changes, warning):
    a = moment(tmp_path, "a", 1000, when=JANUARY)
    b = moment(tmp_path, "b", 1000, when=MARCH, **changes)
    (said,) = timeline([a, b]).warnings
    assert warning in said


def test_thresholds_of_each_scan_are_one_setting(tmp_path):
    own = {"threshold_rule": "expected-dice"}
    a = moment(tmp_path, "a", 1000, when=JANUARY, threshold=0.41, **own)
    b = moment(tmp_path, "b", 1000, when=MARCH, threshold=0.29, **own)
    assert timeline([a, b]).warnings == ()
    fixed = moment(tmp_path, "fixed", 1000, when=MARCH, threshold=0.41)
    (said,) = timeline([a, fixed]).warnings
    assert "same threshold" in said


def box(affine, size, spacing_mm):
    """A block of voxels as a mask."""
    mask = np.zeros((36, 40, 32), np.uint8)
    half = [max(1, round(mm / step / 2)) for mm, step in zip(size, spacing_mm, strict=True)]
    mask[tuple(slice(18 - h, 18 + h) for h in half)] = 1
    return Volume(mask, affine)


def measured(tmp_path, name, mask, **changes):
    """A result with its mask, as a folder has them."""
    volume_ml = float(mask.data.sum()) * mask.voxel_volume_ml
    one = moment(tmp_path, name, 1000, diameters=diameters(mask), volume_ml=volume_ml, **changes)
    write_nifti(one.folder / "mask.nii.gz", mask.data, mask.affine)
    return read_timeline_scans([one.folder])[0]


@pytest.mark.parametrize("name", ["ras", "oblique-lps", "sagittal"])
def test_scans_whose_largest_products_lie_in_two_planes_are_measured_in_one(tmp_path, name):
    """The flat one is largest in one plane, the tall one in another; the masks are at hand."""
    affine = ODD_AFFINES[name]
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    flat, tall = (box(affine, size, spacing) for size in ((80, 80, 20), (30, 80, 80)))
    moments = [
        measured(tmp_path, f"m{n}", mask, when=(JANUARY, JUNE)[n])
        for n, mask in enumerate((flat, tall))
    ]
    first, second = (one.result.diameters for one in moments)
    assert first.plane != second.plane
    found = timeline(moments)
    assert found.plane == first.plane
    wanted = diameters_by_plane(tall)[first.plane].product_mm2
    assert found.points[1].product_mm2 == wanted < second.product_mm2
    assert found.points[1].response != "NE"


@pytest.mark.parametrize("scale", [0, 90], ids=["empty", "a FLAIR"])
def test_a_mask_that_was_not_measured_is_refused(tmp_path, scale):
    affine = ODD_AFFINES["ras"]
    flat, tall = (box(affine, size, (4.5,) * 3) for size in ((80, 80, 20), (30, 80, 80)))
    a = measured(tmp_path, "a", flat, when=JANUARY)
    b = measured(tmp_path, "b", tall, when=JUNE)
    write_nifti(b.folder / "mask.nii.gz", np.full(tall.shape, scale, np.uint8), affine)
    with pytest.raises(InputError, match=r"b/mask.nii.gz: holds .* not the mask that was measured"):
        timeline([a, b])


def test_a_scan_that_cannot_be_measured_in_the_others_plane_is_not_evaluable(tmp_path):
    a = moment(tmp_path, "a", 1000, when=JANUARY)
    b = moment(tmp_path, "b", 0, when=MARCH, volume_ml=5.0,
               diameters=make_diameters(plane="sagittal"))  # fmt: skip
    last = timeline([a, b]).points[-1]
    assert (last.response, last.product_mm2) == ("NE", None)


def test_a_new_result_stands_where_its_date_is(tmp_path):
    a, b, c = three(tmp_path)
    mask = Volume(np.ones((2, 2, 2), np.uint8), np.eye(4))
    result = with_timeline(b.result, mask, [c, a])
    assert [(p.name, p.prior is None) for p in result.timeline.points] == [
        ("a", False), ("b", True), ("c", False),
    ]  # fmt: skip
    assert latest([c, a]) is c
    assert latest([c, a], MARCH) is a
