"""Age, grade and marker of real patients in one run, each with metrics of its own."""

import pytest

from plgg.config import preset, with_settings
from plgg.core.progress import Silent
from plgg.data.manifest import read_manifest
from plgg.data.run_folder import read_metrics
from plgg.data.split import make_split
from plgg.data.store import Store
from plgg.evaluate.evaluation import read_evaluation
from plgg.experiment.scoring import score_run
from plgg.preprocess.cohort import preprocess_cohort
from plgg.train.run import train

pytestmark = pytest.mark.real
N_PATIENTS = 18


def test_age_grade_and_marker_in_one_run(shared_data, tmp_path):
    step = 86 // N_PATIENTS
    cases = read_manifest(shared_data / "tcga-lgg" / "manifest.csv")[::step][:N_PATIENTS]
    assert {case.columns["grade"] for case in cases if "grade" in case.columns} == {"2", "3"}
    config = with_settings(
        preset("small"),
        (
            "tasks={segmentation: segmentation, marker: classification, grade: classification, "
            "age_years: regression}",
            "grid.spacing_mm=8",
            "preprocess.registration=centre",
            "preprocess.stripping=none",
            "model.init_filters=8",
            "model.blocks_down=[1,1,1,1]",
            "patches.size=[16,24,16]",
            "patches.batch=4",
            "optimiser.epochs=2",
            "validate_every=1",
            "precision=fp32",
        ),
    )
    preprocess_cohort(cases, tmp_path / "store", config)
    store = Store(tmp_path / "store")
    split = make_split(store.cohort.cases, k=0, seed=0)
    run = tmp_path / "run"
    train(store, run, config, split)
    losses = [epoch["train"] for epoch in read_metrics(run)]
    assert {"segmentation", "marker", "grade", "age_years"} < set(losses[0])
    assert losses[1]["age_years"] < 1.5
    score_run(store, run, split, Silent(), label="real")
    found = read_evaluation(run / "evaluation" / "test").summary
    assert found.marker is not None
    grade, age = found.tasks["grade"], found.tasks["age_years"]
    assert {"auc", "balanced_accuracy", "brier"} < set(grade.metrics)
    assert {"mae", "rmse", "r2", "r"} <= set(age.metrics)
    # Adults of 20 to 75: whatever is learned in seconds is in years and no further off than that.
    assert 3 < age.metrics["mae"].value < 40
    assert age.metrics["mae"].low < age.metrics["mae"].value < age.metrics["mae"].high
    page = (run / "evaluation" / "test" / "evaluation.html").read_text()
    assert "Auxiliary tasks" in page
