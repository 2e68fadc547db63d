"""A network of two regions, trained, asked, scored and shown: both are found."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import jsonschema
import nibabel as nib
import numpy as np
import pytest
from labelled import LABELS, labelled_config, labelled_store

from plgg import api
from plgg.core.errors import ConfigError
from plgg.core.estimate import Estimate
from plgg.core.tables import write_csv
from plgg.data.calibration import read_calibration
from plgg.data.labels import region
from plgg.data.result import read_result
from plgg.data.run_folder import read_metrics, read_split
from plgg.evaluate.evaluation import read_evaluation
from plgg.evaluate.records import TaskSummary
from plgg.predict.options import PredictOptions
from plgg.report.labels import WHOLE, evaluation_labels, experiment_labels
from plgg.report.tasks import evaluation_tasks, experiment_tasks

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A store, a run, predictions of its test part, and their evaluation."""
    folder = tmp_path_factory.mktemp("labels")
    store = labelled_store(folder / "store", n=8, whole_alone=("P02",))
    api.train(store.folder, folder / "run", labelled_config("optimiser.epochs=6"))
    options = PredictOptions(part="test", pages=False)
    api.predict([store.folder], out=folder / "predictions", model=folder / "run", options=options)
    api.evaluate(folder / "predictions", store.folder, out=folder / "evaluation")
    return folder


def predictions(done):
    return sorted(path.parent for path in (done / "predictions").glob("*/result.json"))


def voxels(path):
    return np.asanyarray(nib.load(path).dataobj)


def test_both_regions_are_learnt(done):
    last = read_metrics(done / "run")[-1]["validation"]
    assert last["labels"]["tumour"] == last["dice"]
    assert min(last["labels"].values()) > 0.5


def test_the_map_holds_mask_and_regions(done):
    folders = predictions(done)
    assert folders
    for folder in folders:
        result = read_result(folder / "result.json")
        numbers, mask = voxels(folder / "labels.nii.gz"), voxels(folder / "mask.nii.gz")
        assert np.array_equal(numbers > 0, mask > 0)
        assert [(one.name, one.number, one.values) for one in result.labels] == [
            ("tumour", 1, (1, 2)),
            ("cyst", 2, (2,)),
        ]
        ml = abs(np.linalg.det(nib.load(folder / "mask.nii.gz").affine)) / 1000
        for place, one in enumerate(result.labels):
            inside = region(numbers, LABELS, place)
            assert one.volume_ml == pytest.approx(inside.sum() * ml, rel=1e-4)
        assert result.labels[0].volume_ml == result.volume_ml
        inner = voxels(folder / "probability_cyst.nii.gz")
        assert inner[numbers == 2].min() >= result.labels[1].threshold - 0.01
        schema = json.loads((ROOT / "docs" / "result.schema.json").read_text())
        jsonschema.validate(json.loads((folder / "result.json").read_text()), schema)


def test_what_is_there_is_kept(done):
    (folder, *_) = predictions(done)
    before = (folder / "result.json").stat().st_mtime_ns
    options = PredictOptions(part="test", pages=False)
    api.predict([done / "store"], out=done / "predictions", model=done / "run", options=options)
    assert (folder / "result.json").stat().st_mtime_ns == before


def test_each_region_has_a_rule(done):
    found = read_calibration(done / "run")
    assert list(found.labels) == ["cyst"]
    assert found.labels["cyst"].n == len(read_split(done / "run")["validation"])


def test_an_evaluation_scores_each_region(done):
    found = read_evaluation(done / "evaluation")
    summary = found.summary.tasks["cyst"]
    assert summary.kind == "segmentation"
    assert summary.lower_is_better == ("hd95_mm",)
    for row in found.rows:
        truth = voxels(done / "store" / "cases" / row.case_id / "labels.nii.gz") == 2
        said = voxels(done / "predictions" / row.case_id / "labels.nii.gz") == 2
        dice = 2 * (truth & said).sum() / (truth.sum() + said.sum())
        if row.tasks["cyst"].truth is None:
            assert not row.tasks["cyst"].scores
            continue
        assert row.tasks["cyst"].scores["dice"] == pytest.approx(dice)
        assert float(row.tasks["cyst"].truth) == pytest.approx(truth.sum() * 0.064)
    with (done / "evaluation" / "cases.csv").open(encoding="utf-8") as handle:
        assert {"cyst:truth", "cyst:value", "cyst:dice"} <= set(next(csv.reader(handle)))


def test_the_summary_table_has_the_volumes(done):
    with (done / "predictions" / "summary.csv").open(encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    for row in rows:
        result = read_result(done / "predictions" / row["case_id"] / "result.json")
        assert float(row["cyst:value"]) == pytest.approx(result.labels[1].volume_ml)


def test_thresholds_may_be_set_for_all(done, tmp_path):
    options = PredictOptions(part="test", pages=False, settings=("inference.threshold=0.9",))
    api.predict([done / "store"], out=tmp_path / "high", model=done / "run", options=options)
    for folder in predictions(done):
        high = read_result(tmp_path / "high" / folder.name / "result.json")
        assert [one.threshold for one in high.labels] == [0.9, 0.9]
        numbers = voxels(tmp_path / "high" / folder.name / "labels.nii.gz")
        assert (numbers > 0).sum() <= (voxels(folder / "labels.nii.gz") > 0).sum()


def test_two_results_are_compared_by_a_region(done, tmp_path):
    options = PredictOptions(part="test", pages=False, settings=("inference.threshold=0.95",))
    api.predict([done / "store"], out=tmp_path / "high", model=done / "run", options=options)
    api.evaluate(tmp_path / "high", done / "store", out=tmp_path / "evaluation")
    found = api.compare(done / "evaluation", tmp_path / "evaluation", metric="cyst:dice")
    assert found.contrasts[0].metric == "cyst:dice"
    page = (tmp_path / "evaluation" / "evaluation.html").read_text(encoding="utf-8")
    assert "cyst" in page


def test_the_page_has_the_labels_under_their_own_heading(done):
    found = read_evaluation(done / "evaluation")
    labels = evaluation_labels(found)
    whole, cyst = labels.table.rows
    known = [row.tasks["cyst"] for row in found.rows if row.tasks["cyst"].truth is not None]
    assert whole[0] == WHOLE
    assert whole[1] == str(len(found.rows))
    assert cyst[:3] == ("cyst", str(len(known)), str(sum(float(t.truth) > 0 for t in known)))
    assert cyst[4] == f"{np.mean([task.value for task in known]):.1f}"
    assert cyst[5].startswith(f"{np.mean([task.scores['dice'] for task in known]):.3f}")
    assert {(row[0], row[1]) for row in labels.scans.rows} == {
        (row.case_id, "cyst") for row in found.rows
    }
    assert evaluation_tasks(found) is None
    page = (done / "evaluation" / "evaluation.html").read_text(encoding="utf-8")
    assert "<h2>Labels of the mask</h2>" in page
    assert "Auxiliary tasks" not in page


def test_an_experiment_has_them_beside_its_tasks(done):
    """Two arms on two splits: one with the label, one with a number of a column."""
    found = read_evaluation(done / "evaluation")
    years = TaskSummary(kind="regression", n=2, metrics={"mae": Estimate(1.5)})
    other = replace(found, summary=found.summary.model_copy(update={"tasks": {"years": years}}))
    told = SimpleNamespace(
        arms=("single", "multitask"),
        tests=lambda arm: [other if arm == "multitask" else found],
        split_tests=lambda arm: [[other if arm == "multitask" else found]] * 2,
    )
    labels, tasks = experiment_labels(told), experiment_tasks(told)
    (row,) = labels.table.rows
    n = found.summary.tasks["cyst"].n
    dice = found.summary.tasks["cyst"].metrics["dice"].value
    assert row[:4] == ("Single-task", "cyst", str(2 * n), f"{dice:.3f} ± 0.000")
    assert [row[1] for row in tasks.table.rows] == ["years"]
    assert experiment_labels(SimpleNamespace(**{**vars(told), "arms": ("multitask",)})) is None


def test_a_label_that_no_truth_tells_is_still_one(done, tmp_path):
    """Its volume is listed and it has no score; it is no auxiliary task."""
    rows = []
    for folder in predictions(done):
        mask = done / "store" / "cases" / folder.name / "truth.nii.gz"
        rows.append((folder.name, "scan.nii.gz", mask, "tumour"))
    header = ("patient_id", "flair", "mask", "mask_labels")
    write_csv(tmp_path / "manifest.csv", header, rows)
    found = api.evaluate(done / "predictions", tmp_path / "manifest.csv", out=tmp_path / "out")
    assert found.summary.tasks["cyst"].n == 0
    cyst = evaluation_labels(found).table.rows[1]
    assert cyst == ("cyst", "0", "0", *["–"] * 6)
    assert evaluation_tasks(found) is None


def test_raw_masks_of_a_manifest_are_as_good_as_the_store(done, tmp_path):
    """The values of the masks, and the column that says what they tell."""
    rows, cases = [], done / "store" / "cases"
    for folder in predictions(done):
        name = folder.name
        image = nib.load(cases / name / "labels.nii.gz")
        values = np.asanyarray(image.dataobj).astype(np.uint8)
        path = tmp_path / f"{name}.nii.gz"
        nib.save(nib.Nifti1Image(values, image.affine), path)
        rows.append((name, "scan.nii.gz", path.name, "" if values.max() > 1 else "tumour"))
    header = ("patient_id", "flair", "mask", "Mask labels")
    write_csv(tmp_path / "manifest.csv", header, rows)
    found = api.evaluate(done / "predictions", tmp_path / "manifest.csv", out=tmp_path / "out")
    stored = {row.case_id: row for row in read_evaluation(done / "evaluation").rows}
    for row in found.rows:
        assert row.dice == pytest.approx(stored[row.case_id].dice)
        assert row.tasks["cyst"].scores == pytest.approx(stored[row.case_id].tasks["cyst"].scores)


def test_what_has_one_outline_is_refused(done, tmp_path):
    with pytest.raises(ConfigError, match="the network has 2 labels"):
        api.export(done / "run", "monai-bundle", out=tmp_path / "bundle")
