"""A prediction of several regions as DICOM SEG, as a page, as a PDF, and from arrays."""

import highdicom as hd
import numpy as np
import pydicom
import pytest

from dicom_series import write_series
from helper import ODD_AFFINES, blob_brain
from plgg import api
from plgg.core.errors import ConfigError
from plgg.core.tables import write_csv
from plgg.core.volume import Volume
from plgg.data.labels import region
from plgg.data.nifti.image import read_volume, write_volume
from plgg.data.result import labels_of, read_result
from plgg.predict.options import PredictOptions
from plgg.report.case.page import prediction_of
from plgg.report.case.pictures import slice_picture, viewer_data
from plgg.report.case.view import make_scan_view
from plgg.report.parts import REGIONS
from runs import make_run

SETTING = "tasks.segmentation.labels={tumour: [1, 2, 3], solid_part: [1, 3], cyst: 3}"
NAMES = ("solid_part", "cyst")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Of chance weights, which outline something everywhere."""
    return make_run(tmp_path_factory.mktemp("run"), SETTING)


def predict(study, run, options):
    out = study.parent / "out"
    (outcome,) = api.predict([study], model=run, out=out, options=options)
    assert outcome.reason is None
    return out / outcome.case_id


@pytest.fixture(scope="module")
def case(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("scan")
    scan, _ = blob_brain(affine=ODD_AFFINES["oblique-lps"])
    write_series(folder / "study", scan)
    return predict(folder / "study", run, PredictOptions(pdf=True))


def regions(case):
    labels = labels_of(read_result(case / "result.json"))
    numbers = read_volume(case / "labels.nii.gz")
    return [numbers.with_data(region(numbers.data, labels, n)) for n in range(len(labels))]


def test_a_seg_has_a_segment_for_every_region(case):
    path = case / "segmentation.dcm"
    header = pydicom.dcmread(path)
    assert [one.SegmentNumber for one in header.SegmentSequence] == [1, 2, 3]
    told = [one.SegmentLabel for one in header.SegmentSequence]
    assert told == ["Tumour", "Solid part", "Cyst"]
    kinds = [one.SegmentedPropertyTypeCodeSequence[0].CodeMeaning for one in header.SegmentSequence]
    assert kinds == ["Neoplasm", "Neoplasm", "Cyst"]
    assert len({one.TrackingUID for one in header.SegmentSequence}) == 3
    found = hd.seg.segread(path)
    to_ras = np.diag([-1.0, -1.0, 1.0, 1.0])
    for number, wanted in enumerate(regions(case), start=1):
        assert wanted.data.any()
        volume = found.get_volume(segment_numbers=[number], combine_segments=True)
        there = Volume((volume.array > 0).astype(np.uint8), to_ras @ volume.affine)
        placed = _onto(there, wanted)
        assert np.array_equal(placed > 0, wanted.data)


def _onto(volume, grid):
    """Its values at the voxels of a grid of the same lattice."""
    index = np.linalg.inv(volume.affine) @ grid.affine
    where = np.argwhere(np.ones(grid.shape, dtype=bool))
    at = np.rint(where @ index[:3, :3].T + index[:3, 3]).astype(int)
    inside = ((at >= 0) & (at < volume.shape)).all(axis=1)
    values = np.zeros(len(at), dtype=np.uint8)
    values[inside] = volume.data[tuple(at[inside].T)]
    return values.reshape(grid.shape)


def test_a_page_shows_every_region_in_its_colour(case):
    page = (case / "report.html").read_text(encoding="utf-8")
    result = read_result(case / "result.json")
    for label, colour in zip(result.labels[1:], REGIONS, strict=False):
        assert f"background: {colour}" in page
        assert f"stroke: {colour}" in page
        assert label.name.replace("_", " ") in page
    assert "<h2>Labels of the mask</h2>" in page
    assert "the whole outline" in page
    assert (case / "report.pdf").is_file()


def test_regions_are_drawn_where_they_are(case):
    scan, _ = blob_brain(affine=ODD_AFFINES["oblique-lps"])
    result = read_result(case / "result.json")
    mask = read_volume(case / "mask.nii.gz")
    shown = make_scan_view(
        Volume(scan.data.reshape(mask.shape), mask.affine)
        if scan.shape == mask.shape
        else mask.with_data(mask.data.astype(np.float32)),
        prediction_of(case, mask, labels_of(result)),
    )
    assert tuple(shown.inner) == NAMES
    voxel_ml = abs(np.linalg.det(shown.affine)) / 1000
    for label, inside in zip(result.labels[1:], shown.inner.values(), strict=True):
        assert inside.sum() * voxel_ml == pytest.approx(label.volume_ml, rel=0.01)
        assert not (inside & ~shown.mask).any()
    drawn = slice_picture(shown, "axial", shown.centre[2]).inner
    assert {colour for colour, _ in drawn} <= set(REGIONS[:2])
    data = viewer_data(shown)
    assert data["regions"] == list(REGIONS[:2])
    assert set(data["regions"]) <= set(data["images"])


def test_arrays_get_their_regions(run):
    scan, _ = blob_brain(affine=ODD_AFFINES["oblique-lps"])
    found = api.segment(scan.data, scan.affine, model=run)
    assert tuple(found.labels) == ("tumour", *NAMES)
    assert np.array_equal(found.labels["tumour"], found.mask)
    assert not (found.labels["cyst"] & ~found.labels["solid_part"]).any()


def test_one_region_is_as_before(tmp_path):
    """No files beside those of a model without labels; the result says which values it is."""
    run = make_run(tmp_path / "run", "tasks.segmentation.labels={tumour: [1, 2]}")
    plain = make_run(tmp_path / "plain")
    scan, _ = blob_brain(affine=ODD_AFFINES["oblique-lps"])
    write_volume(tmp_path / "scan.nii.gz", scan)
    for name, model in (("one", run), ("none", plain)):
        (outcome,) = api.predict(
            [tmp_path / "scan.nii.gz"],
            model=model,
            out=tmp_path / name,
            options=PredictOptions(pages=False),
        )
        assert outcome.reason is None
    one, none = (tmp_path / name / "scan" for name in ("one", "none"))
    assert sorted(p.name for p in one.iterdir()) == sorted(p.name for p in none.iterdir())
    (label,) = read_result(one / "result.json").labels
    assert (label.name, label.values) == ("tumour", (1, 2))
    assert read_result(none / "result.json").labels == ()
    assert np.array_equal(
        read_volume(one / "mask.nii.gz").data, read_volume(none / "mask.nii.gz").data
    )


def test_a_truth_is_read_by_the_values_of_the_one_label(tmp_path):
    """A value that it has not is no tumour, as it was none in training."""
    run = make_run(tmp_path / "run", "tasks.segmentation.labels={tumour: [1, 2]}")
    scan, mask = blob_brain(affine=ODD_AFFINES["oblique-lps"])
    write_volume(tmp_path / "scan.nii.gz", scan)
    values = (mask.data > 0).astype(np.uint8)
    values[int(np.median(np.argwhere(values)[:, 0])) :] *= 4
    write_volume(tmp_path / "mask.nii.gz", mask.with_data(values))
    api.predict(
        [tmp_path / "scan.nii.gz"],
        model=run,
        out=tmp_path / "out",
        options=PredictOptions(pages=False),
    )
    header = ("patient_id", "flair", "mask")
    write_csv(tmp_path / "manifest.csv", header, [("scan", "scan.nii.gz", "mask.nii.gz")])
    found = api.evaluate(tmp_path / "out", tmp_path / "manifest.csv")
    n_voxels = int(np.isin(values, (1, 2)).sum())
    assert 0 < n_voxels < int((values > 0).sum())
    assert found.rows[0].volume_ml == pytest.approx(n_voxels * mask.voxel_volume_ml)


def test_networks_of_other_labels_do_not_answer_together(run, tmp_path):
    other = make_run(tmp_path / "other", "tasks.segmentation.labels={tumour: [1, 2], cyst: 2}")
    scan, _ = blob_brain()
    write_volume(tmp_path / "scan.nii.gz", scan)
    with pytest.raises(ConfigError, match="it outlines other labels"):
        api.predict([tmp_path / "scan.nii.gz"], model=[run, other], out=tmp_path / "out")


def test_the_same_prediction_is_the_same_object(case, run):
    before = pydicom.dcmread(case / "segmentation.dcm").SOPInstanceUID
    (case / "labels.nii.gz").unlink()
    predict(case.parents[1] / "study", run, PredictOptions(pages=False))
    assert pydicom.dcmread(case / "segmentation.dcm").SOPInstanceUID == before
    assert (case / "labels.nii.gz").is_file()
