"""Evaluation of small trees of files, plgg's and a foreign tool's."""

import csv
import dataclasses
import json
import re
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from helper import ODD_AFFINES, blob_brain
from plgg.core.errors import InputError, RunError
from plgg.core.files import sha256
from plgg.data.manifest import Case
from plgg.evaluate import case as score
from plgg.evaluate.case import score_case
from plgg.evaluate.cohort import evaluate_predictions
from plgg.evaluate.evaluation import read_evaluation
from plgg.evaluate.predictions import find_prediction

CLASSES = ("a", "b")


def save(path, data, affine):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(data, affine), path)
    return path


@pytest.fixture
def tree(tmp_path):
    """Four patients on odd grids; predictions are the truth less its first slice with tumour."""
    cases = []
    for number, name in enumerate(("oblique", "thick", "lps", "coronal")):
        _, mask = blob_brain(affine=ODD_AFFINES[name], seed=number)
        truth = save(tmp_path / f"{name}.nii.gz", mask.data.astype(np.uint8), mask.affine)
        marker = CLASSES[number % 2]
        cases.append(Case(name, name, tmp_path / "none.nii.gz", truth, marker, age_years=7.0))
        predicted = mask.data.astype(np.uint8)
        first = np.flatnonzero(predicted.any(axis=(1, 2)))[0]
        predicted[first] = 0
        folder = tmp_path / "predictions" / name
        save(folder / "mask.nii.gz", predicted, mask.affine)
        save(folder / "probability.nii.gz", predicted.astype(np.float32), mask.affine)
        probabilities = {marker: 0.8, CLASSES[1 - number % 2]: 0.2}
        probabilities = {c: probabilities[c] for c in CLASSES}
        result = {
            "marker": {"classes": CLASSES, "probabilities": probabilities, "predicted": marker}
        }
        (folder / "result.json").write_text(json.dumps(result))
    return tmp_path / "predictions", cases, tmp_path / "out"


def test_scores_are_those_of_the_masks(tree):
    predictions, cases, out = tree
    evaluation = evaluate_predictions(predictions, cases, out=out)
    for row, case in zip(evaluation.rows, cases, strict=True):
        truth = nib.load(case.mask)
        predicted = nib.load(predictions / case.case_id / "mask.nii.gz")
        t, p = (np.asarray(image.dataobj) > 0 for image in (truth, predicted))
        assert row.dice == pytest.approx(2 * (t & p).sum() / (t.sum() + p.sum()))
        assert row.soft_dice == pytest.approx(row.dice)
        voxel_ml = abs(np.linalg.det(truth.affine[:3, :3])) / 1000
        assert row.volume_ml == pytest.approx(t.sum() * voxel_ml)
        assert row.volume_error_ml == pytest.approx((p.sum() - t.sum()) * voxel_ml)
        assert (row.n_lesions, row.n_lesions_found, row.n_false_lesions) == (1, 1, 0)
    marker = evaluation.summary.marker
    assert (marker.auc.value, marker.balanced_accuracy.value, marker.f1.value) == (1, 1, 1)
    assert marker.brier.value == pytest.approx(0.08)
    dice = evaluation.summary.segmentation["dice"]
    assert dice.ci_low <= dice.mean <= dice.ci_high


def test_files_are_what_was_returned(tree):
    predictions, cases, out = tree
    evaluation = evaluate_predictions(predictions, cases, out=out)
    assert read_evaluation(out) == evaluation
    with (out / "cases.csv").open() as handle:
        header = next(csv.reader(handle))
    assert header[:8] == [
        "case_id",
        "patient_id",
        "marker",
        "site",
        "age_years",
        "sex",
        "dice",
        "soft_dice",
    ]
    assert header[-3:] == ["predicted_marker", "p_a", "p_b"]
    assert "NaN" not in (out / "summary.json").read_text()


def test_masks_of_any_tool(tree, tmp_path):
    predictions, cases, out = tree
    for case in cases:
        mask = predictions / case.case_id / "mask.nii.gz"
        mask.rename(tmp_path / f"{case.case_id}.nii.gz.moved")
    flat = tmp_path / "flat"
    flat.mkdir()
    for case in cases:
        (tmp_path / f"{case.case_id}.nii.gz.moved").rename(flat / f"{case.case_id}.nii.gz")
    evaluation = evaluate_predictions(flat, cases, out=out)
    assert all(row.dice > 0.8 and row.soft_dice is None for row in evaluation.rows)
    assert evaluation.summary.marker is None


def test_what_is_unknown_is_blank_and_what_is_missing_is_named(tree):
    predictions, cases, out = tree
    first, second, third, fourth = cases
    asked = [
        Case(first.case_id, "p", first.flair),
        Case(second.case_id, "q", second.flair, second.mask, "unheard-of"),
        third,
        fourth,
        Case("absent", "r", first.flair, first.mask),
    ]
    evaluation = evaluate_predictions(predictions, asked, out=out)
    assert evaluation.summary.missing == ("absent",)
    assert evaluation.rows[0].dice is None
    assert evaluation.rows[0].predicted_volume_ml > 0
    assert evaluation.summary.segmentation["dice"].n == 3
    assert evaluation.summary.marker.n == 2
    assert evaluation.summary.marker.unknown_markers == ("unheard-of",)


def test_two_empty_masks_agree_and_are_counted(tree):
    predictions, cases, out = tree
    case = cases[0]
    for path in (case.mask, predictions / case.case_id / "mask.nii.gz"):
        image = nib.load(path)
        save(path, np.zeros(image.shape, dtype=np.uint8), image.affine)
    evaluation = evaluate_predictions(predictions, cases, out=out)
    assert (evaluation.rows[0].dice, evaluation.rows[0].both_empty) == (1.0, True)
    assert evaluation.summary.n_both_empty == 1


def only_failed(tree, case_id):
    """The reason why one case could not be scored, the other three being scored as before."""
    predictions, cases, out = tree
    evaluation = evaluate_predictions(predictions, cases, out=out)
    (failed,) = evaluation.summary.failed
    assert failed.case_id == case_id
    assert [row.case_id for row in evaluation.rows] == [
        case.case_id for case in cases if case.case_id != case_id
    ]
    assert evaluation.summary.missing == ()
    assert read_evaluation(out) == evaluation
    assert "\n" not in failed.reason
    return failed.reason


def test_another_grid_is_said_of_its_case_and_the_others_are_scored(tree):
    predictions, _, _ = tree
    path = predictions / "thick" / "mask.nii.gz"
    image = nib.load(path)
    moved = image.affine.copy()
    moved[2, 3] += 5
    save(path, np.asarray(image.dataobj), moved)
    assert re.search(r"up to 5\.0 mm away .*resample the one", only_failed(tree, "thick"))


def test_another_shape_is_said_of_its_case(tree):
    _, cases, _ = tree
    image = nib.load(cases[1].mask)
    save(cases[1].mask, np.asarray(image.dataobj)[1:], image.affine)
    said = only_failed(tree, "thick")
    assert re.search("has shape 36×40×32, the true mask 35×40×32.*plgg check tells", said)


def test_a_truth_whose_header_says_nothing_is_not_turned_by_a_guess(tree):
    _, cases, _ = tree
    image = nib.load(cases[1].mask)
    bare = nib.Nifti1Image(np.asarray(image.dataobj), None)
    bare.header.set_zooms(image.header.get_zooms())
    bare.header["sform_code"] = bare.header["qform_code"] = 0
    nib.save(bare, cases[1].mask)
    assert re.search(r"thick.nii.gz.*would be a guess", only_failed(tree, "thick"))


def test_a_folder_without_predictions(tree, tmp_path):
    _, cases, out = tree
    with pytest.raises(InputError, match="no prediction"):
        evaluate_predictions(tmp_path / "nothing", cases, out=out)


def change_result(predictions, case_id, change):
    path = predictions / case_id / "result.json"
    result = json.loads(path.read_text())
    change(result)
    path.write_text(json.dumps(result))


def test_missing_cases_are_named_in_a_warning(tree, caplog):
    predictions, cases, out = tree
    asked = [*cases, Case("absent", "r", cases[0].flair, cases[0].mask)]
    evaluate_predictions(predictions, asked, out=out)
    assert "1 of 5 cases have no prediction: absent" in caplog.text


def test_markers_the_model_does_not_know_leave_the_mask_scored(tree, caplog):
    predictions, cases, out = tree
    strange = [dataclasses.replace(case, marker="unheard-of") for case in cases]
    evaluation = evaluate_predictions(predictions, strange, out=out)
    marker = evaluation.summary.marker
    assert (marker.n, marker.auc.value, marker.unknown_markers) == (0, None, ("unheard-of",))
    assert evaluation.summary.segmentation["dice"].n == 4
    assert "unheard-of" in caplog.text
    assert read_evaluation(out) == evaluation


@pytest.mark.parametrize("marker", [{"probabilities": {"a": float("nan"), "b": 0.2}}, 7, [1]])
def test_a_result_that_is_none_is_refused(tree, marker):
    predictions, _, _ = tree
    change_result(predictions, "lps", lambda result: result.update(marker=marker))
    assert re.search(r"lps.*result.json.*Predict", only_failed(tree, "lps"))


def test_two_models_in_one_folder_are_refused(tree):
    predictions, cases, out = tree
    other = {"probabilities": {"a": 0.5, "c": 0.5}, "predicted": "c"}
    change_result(predictions, "lps", lambda result: result.update(marker=other))
    with pytest.raises(InputError, match=r"lps.*a, c.*oblique.*a, b.*one model"):
        evaluate_predictions(predictions, cases, out=out)


def test_a_single_task_result_names_no_marker(tree):
    predictions, cases, out = tree
    for case in cases:
        change_result(predictions, case.case_id, lambda result: result.update(marker=None))
    evaluation = evaluate_predictions(predictions, cases, out=out)
    assert evaluation.summary.marker is None
    assert evaluation.rows[0].predicted_marker is None


def test_labels_are_tumour_but_a_map_of_probabilities_is_refused(tree):
    predictions, cases, out = tree
    path = predictions / "thick" / "mask.nii.gz"
    image = nib.load(path)
    data = np.asarray(image.dataobj)
    expected = evaluate_predictions(predictions, cases, out=out).rows[1]
    halves = np.indices(data.shape)[0] % 2
    save(path, (data * (1 + 3 * halves)).astype(np.uint8), image.affine)
    assert evaluate_predictions(predictions, cases, out=out).rows[1] == expected
    save(path, (data * (0.3 + 0.4 * halves)).astype(np.float32), image.affine)
    assert re.search(r"thick.*fractions.*threshold", only_failed(tree, "thick"))


def test_a_truth_that_is_not_finite_is_refused(tree):
    _, cases, _ = tree
    image = nib.load(cases[0].mask)
    data = np.asarray(image.dataobj).astype(np.float32)
    data[0, 0, 0] = np.nan
    save(cases[0].mask, data, image.affine)
    assert re.search(r"oblique.nii.gz.*1 voxel that is NaN", only_failed(tree, "oblique"))


def of_truth(kind, flair, mask):
    """What stands in the truth's place, and the reason why it is none."""
    soft = np.where(mask.data > 0, 0.2 + 0.6 * np.random.default_rng(0).random(mask.shape), 0)
    return {
        "soft": (soft.astype(np.float32), "fractions"),
        "the flair": (flair.data, "fractions|different values"),
        "whole flair": (np.round(flair.data), "different values, as an image would"),
        "labels 1 and 2": (mask.data + 1, "no voxel of the mask is 0"),
        "whole grid": (np.ones_like(mask.data), "no voxel of the mask is 0"),
        "exchanged": (1 - mask.data, "of the image, and no tumour covers more than half"),
    }[kind]


KINDS = ["soft", "the flair", "whole flair", "labels 1 and 2", "whole grid", "exchanged"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_check_refuses_is_no_truth(tree, kind):
    _, cases, _ = tree
    flair, mask = blob_brain(affine=ODD_AFFINES["lps"], seed=2)
    data, words = of_truth(kind, flair, mask)
    save(cases[2].mask, data, mask.affine)
    assert re.search(rf"lps.nii.gz.*({words})", only_failed(tree, "lps"))


def test_where_nothing_can_be_scored_the_first_reason_is_given(tree):
    predictions, cases, out = tree
    save(cases[2].mask, np.ones((4, 4, 4), np.uint8), np.eye(4))
    with pytest.raises(InputError, match=r"no case could be scored.*lps: .*no voxel .* is 0"):
        evaluate_predictions(predictions, cases[2:3], out=out)
    assert not (out / "cases.csv").exists()


@pytest.mark.parametrize("which", ["truth", "prediction"])
def test_masks_in_another_axis_order_score_the_same(tree, which):
    predictions, cases, out = tree
    before = evaluate_predictions(predictions, cases, out=out).rows[0]
    folder = predictions / "oblique"
    names = ("mask.nii.gz", "probability.nii.gz")
    for path in [cases[0].mask] if which == "truth" else [folder / name for name in names]:
        image = nib.load(path)
        nib.save(image.as_reoriented(nib.orientations.axcodes2ornt("PIL")), path)
    after = evaluate_predictions(predictions, cases, out=out).rows[0]
    assert after.dice == before.dice
    assert after.soft_dice == pytest.approx(before.soft_dice)
    assert after.hd95_mm == pytest.approx(before.hd95_mm)
    assert after.volume_ml == pytest.approx(before.volume_ml)


def test_rounding_in_labels_changes_no_score(tree):
    predictions, cases, out = tree
    before = evaluate_predictions(predictions, cases, out=out).rows
    for path in (cases[1].mask, predictions / "thick" / "mask.nii.gz"):
        image = nib.load(path)
        data = np.where(np.asarray(image.dataobj) > 0, 3.0000458, 1e-7).astype(np.float32)
        data.flat[0] = 0.9999999 if data.flat[0] > 1 else 0
        save(path, data, image.affine)
    assert evaluate_predictions(predictions, cases, out=out).rows == before


def test_a_prediction_of_everything_is_no_mask_but_a_large_one_is_scored(tree, caplog):
    predictions, cases, out = tree
    path = predictions / "lps" / "mask.nii.gz"
    image = nib.load(path)
    data = np.ones(image.shape, np.uint8)
    data[0] = 0
    save(path, data, image.affine)
    row = evaluate_predictions(predictions, cases, out=out).rows[2]
    assert 0 < row.dice < 0.1
    assert "1 warning on the masks of 1 case" in caplog.text
    assert "lps: of the prediction, the mask covers 97% of the image" in caplog.text
    save(path, data + 1, image.affine)
    assert re.search("no voxel of the mask is 0", only_failed(tree, "lps"))


def test_warnings_of_the_check_are_counted(tree, caplog):
    predictions, cases, out = tree
    for case in cases[:2]:
        image = nib.load(case.mask)
        data = np.asarray(image.dataobj)
        save(case.mask, data * (1 + np.indices(data.shape)[0] % 2).astype(np.uint8), image.affine)
    evaluate_predictions(predictions, cases, out=out)
    assert "2 warnings on the masks of 2 cases (plgg check lists" in caplog.text
    assert "oblique: the mask holds the labels 1, 2" in caplog.text


def test_whatever_a_reader_raises_is_that_cases_failure(tree, monkeypatch):
    _, cases, _ = tree
    true = score.usable_mask

    def broken(path, *more):
        if path == cases[3].mask:
            raise ZeroDivisionError("of no library that is known")
        return true(path, *more)

    monkeypatch.setattr(score, "usable_mask", broken)
    assert only_failed(tree, "coronal") == "its masks could not be scored (ZeroDivisionError)"


def test_only_one_empty_mask_has_no_distance(tree):
    predictions, cases, out = tree
    path = predictions / "lps" / "mask.nii.gz"
    image = nib.load(path)
    save(path, np.zeros(image.shape, dtype=np.uint8), image.affine)
    evaluation = evaluate_predictions(predictions, cases, out=out)
    row = evaluation.rows[2]
    assert (row.dice, row.surface_dice, row.hd95_mm, row.both_empty) == (0.0, 0.0, None, False)
    segmentation = evaluation.summary.segmentation
    assert (segmentation["dice"].n, segmentation["hd95_mm"].n) == (4, 3)
    assert evaluation.summary.lesions.sensitivity == 0.75


def test_scans_of_one_patient_are_one_patient(tree):
    predictions, cases, out = tree
    one = [dataclasses.replace(case, patient_id="p") for case in cases]
    summary = evaluate_predictions(predictions, one, out=out).summary
    assert (summary.n_cases, summary.n_patients) == (4, 1)
    assert summary.segmentation["dice"].ci_low is None


def test_the_seed_makes_the_interval(tree):
    predictions, cases, out = tree
    first = evaluate_predictions(predictions, cases, out=out)
    assert evaluate_predictions(predictions, cases, out=out) == first


def test_a_single_files_folder_with_a_stray_map_has_no_soft_dice(tree, tmp_path):
    predictions, cases, out = tree
    flat = tmp_path / "flat"
    flat.mkdir()
    folder = predictions / "thick"
    (folder / "mask.nii.gz").rename(flat / "thick.nii.gz")
    (folder / "probability.nii.gz").rename(flat / "probability.nii.gz")
    (folder / "result.json").rename(flat / "result.json")
    row = evaluate_predictions(flat, [cases[1]], out=out).rows[0]
    assert row.dice > 0.8
    assert (row.soft_dice, row.predicted_marker) == (None, None)


def test_progress_counts_every_case(tree):
    predictions, cases, out = tree
    told = []
    evaluate_predictions(predictions, cases, out=out, progress=lambda *step: told.append(step))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize("broken", ["cut", "column", "version", "absent", "none"])
def test_what_is_no_evaluation_is_said_so(tree, broken):
    predictions, cases, out = tree
    evaluate_predictions(predictions, cases, out=out)
    table, summary = out / "cases.csv", out / "summary.json"
    if broken == "cut":
        summary.write_text(summary.read_text()[:100])
    elif broken == "column":
        table.write_text(table.read_text().replace("patient_id", "patient", 1))
    elif broken == "version":
        summary.write_text(summary.read_text().replace('"version": 2', '"version": 3'))
    elif broken == "absent":
        table.unlink()
    else:
        out = out / "nowhere"
    with pytest.raises(RunError, match="plgg evaluate"):
        read_evaluation(out)


def warnings_of(tree, case_id):
    predictions, cases, _ = tree
    (case,) = (case for case in cases if case.case_id == case_id)
    return score_case(case, find_prediction(predictions, case_id)).warnings


def test_a_prediction_that_contradicts_its_result_is_told(tree):
    predictions, _, _ = tree
    mask = predictions / "thick" / "mask.nii.gz"
    said = {"case_id": "thick", "files": {"mask.nii.gz": sha256(mask)}}
    change_result(predictions, "thick", lambda result: result.update(said))
    assert not warnings_of(tree, "thick")
    shutil.copy(predictions / "thick" / "result.json", predictions / "lps" / "result.json")
    of_another, altered = warnings_of(tree, "lps")
    assert of_another == "its result.json is of the case 'thick'"
    assert "its mask was altered" in altered
    of_another_tool = {"case_id": "lps", "files": {"mask.nii.gz": "mask.nii.gz"}}
    change_result(predictions, "lps", lambda result: result.update(of_another_tool))
    assert not warnings_of(tree, "lps")


def test_of_two_predictions_none_is_taken(tree):
    predictions, cases, out = tree
    folder = predictions / "thick"
    shutil.copy(folder / "mask.nii.gz", predictions / "thick.nii.gz")
    # Beside a prediction of plgg, it is the scan.
    assert not evaluate_predictions(predictions, cases, out=out).summary.failed
    (predictions / "thick.nii").mkdir()
    (folder / "result.json").unlink()
    assert "has two predictions: mask.nii.gz and thick.nii.gz" in only_failed(tree, "thick")


@pytest.mark.parametrize("name", ["mask.nii.gz", "result.json", "probability.nii.gz"])
def test_a_link_that_leads_nowhere_is_a_failure_and_not_a_file_less(tree, name):
    predictions, _, _ = tree
    path = predictions / "thick" / name
    path.unlink()
    path.symlink_to("not/fetched")
    only_failed(tree, "thick")


def test_a_folder_that_may_not_be_entered_is_a_failure_of_its_case(tree, monkeypatch):
    def barred(real):
        def look(self, *given, **named):
            if "thick" in self.parts[-2:-1]:
                raise PermissionError(13, "Permission denied", str(self))
            return real(self, *given, **named)

        return look

    for name in ("lstat", "stat", "open"):
        monkeypatch.setattr(Path, name, barred(getattr(Path, name)))
    only_failed(tree, "thick")
