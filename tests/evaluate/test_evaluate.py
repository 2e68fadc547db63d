"""Evaluation of small trees of files, plgg's and a foreign tool's."""

import csv
import json

import nibabel as nib
import numpy as np
import pytest

from helper import ODD_AFFINES, blob_brain
from plgg.errors import InputError
from plgg.evaluate import evaluate_predictions, read_evaluation
from plgg.io.manifest import Case

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
        chances = {marker: 0.8, CLASSES[1 - number % 2]: 0.2}
        chances = {c: chances[c] for c in CLASSES}
        result = {"marker": {"classes": CLASSES, "probabilities": chances, "predicted": marker}}
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


def test_another_grid_is_refused_with_the_case(tree):
    predictions, cases, out = tree
    path = predictions / "thick" / "mask.nii.gz"
    image = nib.load(path)
    moved = image.affine.copy()
    moved[2, 3] += 5
    save(path, np.asarray(image.dataobj), moved)
    with pytest.raises(InputError, match=r"thick.*grid.*Resample"):
        evaluate_predictions(predictions, cases, out=out)
    assert not (out / "cases.csv").exists()


def test_a_folder_without_predictions(tree, tmp_path):
    _, cases, out = tree
    with pytest.raises(InputError, match="no prediction"):
        evaluate_predictions(tmp_path / "nothing", cases, out=out)
