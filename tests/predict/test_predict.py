"""Predicting scans: on the patient's own grid, whole or not at all, and never twice."""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import jsonschema
import nibabel as nib
import numpy as np
import pytest
from highdicom.seg import segread
from nibabel.affines import apply_affine

from dicom_series import write_series
from helper import ODD_AFFINES, blob_brain, write_case, write_nifti
from plgg.core.errors import CheckpointError, InputError, OutputError
from plgg.core.files import sha256, temporary_name
from plgg.data.result import Result, read_result
from plgg.model.checkpoint import load_checkpoint
from plgg.predict.ensemble import build_ensemble
from plgg.predict.member import load_member
from plgg.predict.scan import Predictor, predict_scans
from plgg.predict.source import find_scans
from plgg.predict.summary import write_summary
from runs import CLASSES, make_run
from tiny import tiny_store

ROOT = Path(__file__).parents[2]


def predictor_of(run, **options):
    return Predictor(build_ensemble([load_member(run)]), **options)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def predictor(run):
    return predictor_of(run)


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scan")
    return write_case(folder, "odd", affine=ODD_AFFINES["oblique-lps"])[0]


def predict(predictor, out, *paths):
    return predict_scans(find_scans(paths), predictor, out)


def listing(out):
    return sorted(path.name for path in out.iterdir() if not path.name.startswith(".plgg"))


FILES = ["mask.nii.gz", "probability.nii.gz", "result.json", "uncertainty.nii.gz"]
IMAGES = [name for name in FILES if name.endswith(".nii.gz")]


@pytest.mark.parametrize("name", ["oblique-lps", "sagittal", "thick", "far"])
def test_the_answer_lies_on_the_patients_own_grid(predictor, tmp_path, name):
    path = write_case(tmp_path, name, affine=ODD_AFFINES[name])[0]
    (outcome,) = predict(predictor, tmp_path / "out", path)
    assert outcome.reason is None
    native = nib.load(path)
    folder = tmp_path / "out" / f"{name}_flair"
    assert listing(folder) == FILES
    for file in IMAGES:
        image = nib.load(folder / file)
        assert image.shape == native.shape
        assert np.array_equal(image.affine, native.affine)
    mask = np.asanyarray(nib.load(folder / "mask.nii.gz").dataobj)
    probability = nib.load(folder / "probability.nii.gz").get_fdata()
    assert mask.dtype == np.uint8
    assert set(np.unique(mask)) <= {0, 1}
    assert np.array_equal(mask > 0, probability >= 0.5)
    assert 0 <= probability.min() <= probability.max() <= 1
    volume = mask.sum() * abs(np.linalg.det(native.affine[:3, :3])) / 1000
    assert outcome.result.volume_ml == pytest.approx(volume, rel=1e-4)


def test_the_result_says_what_it_was_made_from(run, predictor, scan, tmp_path):
    (outcome,) = predict(predictor, tmp_path, scan)
    result = json.loads((tmp_path / "odd_flair" / "result.json").read_text())
    assert result == outcome.result.model_dump(mode="json")
    assert read_result(tmp_path / "odd_flair" / "result.json") == outcome.result
    jsonschema.validate(result, json.loads((ROOT / "docs" / "result.schema.json").read_text()))
    assert (result["format"], result["version"]) == ("plgg-result", 2)
    assert result["case_id"] == "odd_flair"
    assert result["patient_id"] is None
    source = {"path": str(scan), "kind": "nifti", "sha256": sha256(scan), "chosen": None}
    assert result["input"] == source | {"sequences": ["flair"]}
    (model,) = result["models"]
    assert model["sha256"] == load_checkpoint(run, "best").meta.sha256
    assert (model["preset"], model["arm"]) == ("small", "multitask")
    assert "torch" in result["versions"]
    marker = result["marker"]
    assert marker["classes"] == list(CLASSES)
    assert sum(marker["probabilities"].values()) == pytest.approx(1.0)
    assert marker["predicted"] == max(marker["probabilities"], key=marker["probabilities"].get)
    # Nothing taught this run how far to trust it.
    assert not marker["calibrated"]
    assert marker["withheld"]


def fields(schema):
    """What is asked for and what is allowed, by record; wordings differ between releases."""
    records = {"Result": schema, **schema["$defs"]}
    return {
        name: (sorted(record.get("properties", {})), sorted(record.get("required", [])))
        for name, record in records.items()
    }


def test_the_published_schema_is_that_of_the_code():
    published = json.loads((ROOT / "docs" / "result.schema.json").read_text())
    assert fields(published) == fields(Result.model_json_schema())


def test_the_single_arm_gives_no_marker(scan, tmp_path):
    single = predictor_of(make_run(tmp_path / "run", "arm=single"))
    (outcome,) = predict(single, tmp_path / "out", scan)
    assert outcome.result.marker is None


def test_a_dicom_series_gets_a_dicom_segmentation(predictor, tmp_path):
    flair = blob_brain(affine=ODD_AFFINES["oblique-lps"])[0]
    write_series(tmp_path / "series", flair)
    (outcome,) = predict(predictor, tmp_path / "out", tmp_path / "series")
    folder = tmp_path / "out" / "series"
    assert listing(folder) == sorted([*FILES, "measurements.dcm", "segmentation.dcm"])
    assert outcome.result.input.kind == "dicom"
    assert (outcome.result.age_years, outcome.result.sex) == (8, "F")
    mask = nib.load(folder / "mask.nii.gz")
    found = segread(folder / "segmentation.dcm").get_volume(combine_segments=True)
    wanted = apply_affine(mask.affine, np.argwhere(np.asarray(mask.dataobj)))
    marked = apply_affine(found.affine, np.argwhere(found.array)) * (-1, -1, 1)
    np.testing.assert_allclose(in_order(marked), in_order(wanted), atol=0.01)
    before = times(folder)
    predict(predictor, tmp_path / "out", tmp_path / "series")
    assert times(folder) == before


def in_order(points):
    assert len(points)
    return points[np.lexsort(np.round(points, 1).T)]


def test_a_series_that_can_carry_no_segmentation_is_predicted_all_the_same(predictor, tmp_path):
    write_series(tmp_path / "series", blob_brain()[0], tags={"SOPInstanceUID": None})
    (outcome,) = predict(predictor, tmp_path / "out", tmp_path / "series")
    folder = tmp_path / "out" / "series"
    assert listing(folder) == FILES
    assert any("no DICOM SEG" in warning for warning in outcome.result.warnings)
    before = times(folder)
    predict(predictor, tmp_path / "out", tmp_path / "series")
    assert times(folder) == before


def test_the_change_since_an_earlier_prediction_is_told(run, predictor, scan, tmp_path):
    predict(predictor, tmp_path / "then", scan)
    prior = tmp_path / "then" / "odd_flair"
    now = predictor_of(run, prior=prior)
    affine = ODD_AFFINES["oblique-lps"]
    later = write_case(tmp_path, "later", affine=affine, seed=1)[0]
    (outcome,) = predict(now, tmp_path / "now", later)
    assert outcome.result.change.prior == str(prior)
    assert outcome.result.change.volume_ml == read_result(prior / "result.json").volume_ml
    before = times(prior)
    (refused,) = predict(now, tmp_path / "then", scan)
    assert "take its place" in refused.reason
    assert times(prior) == before
    (refused,) = predict(now, tmp_path / "elsewhere", scan)
    assert "of the same scan as odd_flair" in refused.reason
    # Without the earlier one it is another result.
    assert predict(predictor, tmp_path / "now", later)[0].result.change is None


def test_no_tumour_is_said(scan, tmp_path):
    sure = predictor_of(make_run(tmp_path / "run", "inference.threshold=1"))
    (outcome,) = predict(sure, tmp_path / "out", scan)
    assert outcome.result.volume_ml == 0
    # The blob is no brain of the atlas, and that is said first.
    assert outcome.result.warnings[-1] == "no tumour was found"


def times(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_a_result_is_kept_until_model_or_scan_change(predictor, tmp_path):
    path = write_case(tmp_path, "x")[0]
    out, folder = tmp_path / "out", tmp_path / "out" / "x_flair"
    first = predict(predictor, out, path)[0].result
    before = times(folder)
    assert predict(predictor, out, path)[0].result == first
    assert times(folder) == before

    other = predictor_of(make_run(tmp_path / "other", seed=1))
    second = predict(other, out, path)[0].result
    assert second.models != first.models
    assert times(folder)["mask.nii.gz"] > before["mask.nii.gz"]

    flair = blob_brain(seed=3)[0]
    write_nifti(path, flair.data, flair.affine)
    third = predict(other, out, path)[0].result
    assert third.input.sha256 == sha256(path) != second.input.sha256
    assert listing(out) == ["x_flair"]


@pytest.mark.parametrize("lost", [name for name in FILES if name != "result.json"])
def test_a_result_with_a_piece_missing_is_made_again(predictor, scan, tmp_path, lost):
    predict(predictor, tmp_path, scan)
    (tmp_path / "odd_flair" / lost).unlink()
    predict(predictor, tmp_path, scan)
    assert listing(tmp_path / "odd_flair") == FILES


@pytest.mark.parametrize("text", [None, "", "{", "[]", "{}", '{"format": "other"}'])
def test_a_folder_without_plggs_mark_is_somebodys_and_kept(predictor, scan, tmp_path, text):
    predict(predictor, tmp_path, scan)
    path = tmp_path / "odd_flair" / "result.json"
    path.unlink() if text is None else path.write_text(text)
    before = times(tmp_path / "odd_flair")
    with pytest.raises(OutputError, match="which plgg did not write: it is no prediction"):
        predict(predictor, tmp_path, scan)
    assert times(tmp_path / "odd_flair") == before


def test_a_mask_that_was_corrected_by_hand_is_kept(predictor, scan, tmp_path):
    predict(predictor, tmp_path, scan)
    mask = tmp_path / "odd_flair" / "mask.nii.gz"
    corrected = nib.load(mask)
    write_nifti(mask, 1 - np.asarray(corrected.dataobj), corrected.affine)
    before = mask.read_bytes()
    other = predictor_of(make_run(tmp_path / "other", seed=1))
    (outcome,) = predict(other, tmp_path, scan)
    assert "'mask.nii.gz' was altered since plgg wrote it" in outcome.reason
    assert mask.read_bytes() == before


def test_the_scans_own_folder_is_never_replaced(predictor, scan, tmp_path):
    place = tmp_path / "P01" / "P01.nii.gz"
    place.parent.mkdir()
    place.write_bytes(scan.read_bytes())
    with pytest.raises(OutputError, match="input"):
        predict(predictor, tmp_path, place)
    assert [path.name for path in tmp_path.rglob("*")] == ["P01", "P01.nii.gz"]


def test_broken_scans_are_named_and_the_others_finish(predictor, scan, tmp_path):
    truncated = tmp_path / "truncated.nii.gz"
    truncated.write_bytes(scan.read_bytes()[:3000])
    empty = write_nifti(tmp_path / "empty.nii.gz", np.zeros((9, 9, 9), dtype=np.float32))
    missing = tmp_path / "missing.nii.gz"
    told = []
    outcomes = predict_scans(
        find_scans([truncated, empty, missing, scan]),
        predictor,
        tmp_path / "out",
        progress=lambda done, total, failed: told.append((done, total, failed)),
    )
    assert [outcome.case_id for outcome in outcomes] == [
        "truncated",
        "empty",
        "missing",
        "odd_flair",
    ]
    assert [outcome.result is None for outcome in outcomes] == [True, True, True, False]
    for outcome, path in zip(outcomes, (truncated, empty, missing), strict=False):
        assert str(path) in outcome.reason
        assert "\n" not in outcome.reason
        assert "unexpected" not in outcome.reason
    assert told == [(1, 4, 1), (2, 4, 2), (3, 4, 3), (4, 4, 3)]
    # Nothing half-written, nothing hidden.
    assert listing(tmp_path / "out") == ["odd_flair"]


def test_what_nobody_foresaw_fails_one_scan_only(predictor, scan, tmp_path, caplog):
    good = find_scans([scan])[0]

    def load(config):
        raise ZeroDivisionError(config.preset)

    outcomes = predict_scans([replace(good, case_id="bad", load=load), good], predictor, tmp_path)
    assert "unexpected ZeroDivisionError" in outcomes[0].reason
    assert outcomes[1].result
    assert "bad" in caplog.text


def test_what_a_kill_left_half_written_is_cleared(predictor, scan, tmp_path):
    half = temporary_name(tmp_path / "odd_flair")
    half.mkdir()
    (half / "mask.nii.gz").write_bytes(b"half")
    predict(predictor, tmp_path, scan)
    assert not half.exists()
    assert listing(tmp_path) == ["odd_flair"]
    assert listing(tmp_path / "odd_flair") == FILES


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden"])
def test_a_case_never_takes_the_place_of_the_folder_above(predictor, scan, tmp_path, name):
    """`out / '..'` would be the folder above, and it would be replaced."""
    (tmp_path / "keep").mkdir()
    named = replace(find_scans([scan])[0], case_id=name)
    (outcome,) = predict_scans([named], predictor, tmp_path / "out")
    assert "cannot name a folder" in outcome.reason
    assert listing(tmp_path) == ["keep", "out"]
    assert listing(tmp_path / "out") == []


def test_a_place_that_cannot_be_written_to_is_named(predictor, scan, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="file"):
        predict(predictor, tmp_path / "file", scan)


def test_a_store_is_predicted_without_its_native_scans(predictor, tmp_path):
    store = tiny_store(tmp_path / "store", n=3)
    scans = find_scans([store.folder], only=["P00", "P02"])
    outcomes = predict_scans(scans, predictor, tmp_path / "out")
    assert [outcome.result.patient_id for outcome in outcomes] == ["P00", "P02"]
    image = nib.load(tmp_path / "out" / "P02" / "mask.nii.gz")
    placement = store.placement("P02")
    assert image.shape == placement.native_shape
    assert np.array_equal(image.affine, np.array(placement.native_affine))


def test_cases_that_are_not_there_are_named(tmp_path):
    store = tiny_store(tmp_path / "store", n=3)
    with pytest.raises(InputError, match="1 of 2 cases are not in the inputs, the first: P07"):
        find_scans([store.folder], only=["P00", "P07"])


def test_a_store_of_another_spacing_is_refused_for_each_case(tmp_path):
    other = predictor_of(make_run(tmp_path / "run", "grid.spacing_mm=3"))
    store = tiny_store(tmp_path / "store", n=1)
    (outcome,) = predict(other, tmp_path / "out", store.folder)
    assert "4 mm voxels, the model wants 3 mm" in outcome.reason


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="plgg train"):
        predictor_of(tmp_path)


def test_two_scans_of_one_name_are_refused(scan, tmp_path):
    copy = tmp_path / scan.name
    copy.write_bytes(scan.read_bytes())
    with pytest.raises(InputError, match="two scans are called"):
        find_scans([scan, copy])


def test_a_scan_is_opened_once(predictor, scan, tmp_path):
    opened = []
    watching = True

    def hear(event, details):
        if watching and event == "open" and str(details[0]) == str(scan):
            opened.append(details[0])

    sys.addaudithook(hear)  # hears every way to open a file; it cannot be taken off again
    (outcome,) = predict(predictor, tmp_path, scan)
    assert outcome.reason is None
    assert outcome.result.input.sha256 == sha256(Path(str(scan)))
    assert len(opened) == 2  # the second is this test's own hash
    watching = False


def test_a_path_in_another_encoding_is_predicted_and_written(predictor, scan, tmp_path):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    path = folder / scan.name
    path.write_bytes(scan.read_bytes())
    out = tmp_path / os.fsdecode(b"\xff-out")
    (outcome,) = predict(predictor, out, path)
    assert outcome.reason is None
    kept = out / scan.name.removesuffix(".nii.gz") / "result.json"
    assert r"caf\udce9" in kept.read_text(encoding="utf-8")
    assert Path(read_result(kept).input.path) == path
    write_summary(out / "summary.csv", [outcome])
    assert (out / "summary.csv").read_text(encoding="utf-8").count("\n") == 2
