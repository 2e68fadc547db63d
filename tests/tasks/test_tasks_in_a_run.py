"""Tasks as data, from the settings to the evaluation: a tiny run with every kind, and one more."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from toy import Count

from plgg import api
from plgg.config import with_settings
from plgg.core.errors import ConfigError
from plgg.core.progress import Silent
from plgg.core.tables import read_csv
from plgg.data.calibration import read_calibration
from plgg.data.result import read_result
from plgg.data.run_folder import read_metrics
from plgg.evaluate.compare.contrast import compare_results
from plgg.evaluate.evaluation import read_evaluation
from plgg.evaluate.experiment_records import read_experiment
from plgg.experiment.options import Design
from plgg.experiment.scoring import score_run
from plgg.model.checkpoint import load_checkpoint
from plgg.predict.ensemble import build_ensemble
from plgg.predict.member import load_member
from plgg.report.case.details import task_facts
from plgg.report.measures import measures
from plgg.report.tasks import experiment_tasks
from plgg.tasks.kinds import KINDS, register_kind
from plgg.train.run import train
from runs import SHALLOW
from tiny import SMALL_SHAPE, hand_split, tiny_config, tiny_store

TASKS = (
    "tasks={segmentation: segmentation, marker: classification, grade: classification, "
    "years: {kind: regression, column: age_years, weight: 0.1}, lesions: count}"
)
N = 16
VALIDATION = tuple(f"P{n:02d}" for n in range(10))
COLUMNS = {
    "grade": [("2", "3", None, "2", "4")[n % 5] for n in range(N)],
    "lesions": [str(n % 3) if n != 11 else None for n in range(N)],
}
AGES = tuple(None if n == 12 else 3.5 + 2 * n for n in range(N))


@pytest.fixture(scope="module", autouse=True)
def count():
    register_kind("count", Count)
    yield
    del KINDS["count"]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tiny_store(
        tmp_path_factory.mktemp("store"), n=N, shape=SMALL_SHAPE, ages=AGES, columns=COLUMNS
    )


def config(*settings):
    small = (*SHALLOW, "patches.batch=4", "optimiser.epochs=1")
    return tiny_config(*small, TASKS, *settings)


@pytest.fixture(scope="module")
def run(store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "run"
    split = hand_split(store, validation=VALIDATION, test=("P10", "P11"))
    train(store, folder, config("optimiser.epochs=2"), split)
    score_run(store, folder, split, Silent(), label="tiny")
    return folder


def test_every_task_has_its_loss_weight_and_metrics(run):
    first, last = read_metrics(run)
    assert set(last["train"]) == {"loss", "segmentation", "marker", "grade", "years", "lesions"}
    assert last["weights"] == {
        "segmentation": 1.0,
        "marker": 0.3,
        "grade": 0.3,
        "years": 0.1,
        "lesions": 0.3,
    }
    total = sum(last["weights"][name] * last["train"][name] for name in last["weights"])
    assert last["train"]["loss"] == pytest.approx(total)
    assert first["gradients"]["years"] > 0
    assert -1 <= first["gradients"]["cosine_grade_years"] <= 1
    assert len([name for name in first["gradients"] if name.startswith("cosine")]) == 10
    found = last["validation"]["tasks"]
    assert set(found["grade"]) >= {"accuracy", "brier", "auc", "balanced_accuracy"}
    assert set(found["years"]) == {"mae", "rmse", "r2", "r"}
    assert set(found["lesions"]) == {"deviation"}
    assert last["validation"]["marker_auc"] is not None


def test_the_checkpoint_keeps_what_the_tasks_are(run):
    meta = load_checkpoint(run).meta
    assert list(meta.auxiliary) == ["marker", "grade", "years", "lesions"]
    assert meta.auxiliary["grade"].classes == ("2", "3", "4")
    assert meta.auxiliary["years"].column == "age_years"
    trained = [AGES[n] for n in range(N) if n > 11 and AGES[n] is not None]
    assert meta.auxiliary["years"].numbers["mean"] == pytest.approx(np.mean(trained))


def test_the_result_says_what_every_task_says(run):
    result = read_result(run / "predictions" / "test" / "P10" / "result.json")
    assert set(result.tasks) == {"grade", "years", "lesions"}
    grade, years = result.tasks["grade"], result.tasks["years"]
    assert sum(grade.probabilities.values()) == pytest.approx(1.0)
    assert grade.predicted == max(grade.probabilities, key=grade.probabilities.get)
    assert years.low < years.value < years.high
    assert years.level == 0.9
    assert result.tasks["lesions"].value > 0
    assert result.marker is not None
    rules = read_calibration(run).tasks
    assert rules["years"].n == len(VALIDATION)
    assert years.high - years.value == pytest.approx(rules["years"].numbers["reach"])


def test_the_interval_holds_nine_of_ten_validation_patients(run):
    summary = read_evaluation(run / "evaluation" / "validation").summary
    assert summary.tasks["years"].metrics["coverage"].value >= 0.9


def test_the_evaluation_has_columns_and_metrics_of_every_task(run):
    folder = run / "evaluation" / "validation"
    found = read_evaluation(folder)
    years = found.summary.tasks["years"]
    assert years.n == len(VALIDATION)
    assert "mae" in years.lower_is_better
    mae = years.metrics["mae"]
    assert mae.low <= mae.value <= mae.high
    grade = found.summary.tasks["grade"]
    assert grade.n == sum(COLUMNS["grade"][n] is not None for n in range(10))
    assert set(grade.metrics) == {"accuracy", "brier", "auc", "balanced_accuracy"}
    assert set(found.summary.tasks["lesions"].metrics) == {"deviation"}
    rows = read_csv(folder / "cases.csv", error=ConfigError, key=str).rows()
    errors = [abs(float(r["years:value"]) - float(r["years:truth"])) for r in rows]
    assert np.mean(errors) == pytest.approx(mae.value)
    assert {"grade:p:2", "grade:predicted", "years:low", "lesions:deviation"} <= set(rows[0])
    again = found.rows[0].tasks["years"]
    assert again.scores["mae"] == pytest.approx(errors[0])
    labels = {measure.label for measure in measures(found.summary)}
    assert "years: Mean absolute error, lower is better" in labels


def test_the_pages_show_the_tasks(run):
    page = (run / "evaluation" / "validation" / "evaluation.html").read_text()
    assert 'id="tasks"' in page
    assert "Mean absolute error, lower is better" in page
    assert "years: predicted and true" in page or "true years" in page
    result = read_result(run / "predictions" / "test" / "P10" / "result.json")
    told = dict(task_facts(result))
    assert list(told) == ["grade", "years", "lesions"]
    assert told["years"].endswith("with a probability of 90 %)")
    assert told["grade"].endswith("calibrated")
    assert told["lesions"].endswith("no interval: not calibrated")
    assert task_facts(result.model_copy(update={"tasks": {}})) == ()


def test_an_experiment_shows_the_tasks_of_its_arms(store, tmp_path):
    arm = "years=multitask tasks={segmentation: segmentation, years: {kind: regression, column: "
    design = Design(1, arms=("single", "multitask"), defined=(arm + "age_years}}",))
    plain = tiny_config(*SHALLOW, "optimiser.epochs=1", "patches.batch=4")
    base = with_settings(plain, ["tasks={segmentation: segmentation, grade: classification}"])
    done = api.experiment(store.folder, tmp_path / "out", base, design=design)
    assert not done.failed
    page = done.report.read_text()
    assert 'id="tasks"' in page
    found = experiment_tasks(read_experiment(tmp_path / "out"))
    assert {row[:2] for row in found.table.rows} == {("Multitask", "grade"), ("years", "years")}
    assert len(found.pictures) == 1
    assert not done.report.read_text().count("p:grade")


def test_a_scan_is_predicted_with_its_tasks(store, tmp_path):
    arm = tiny_config(*SHALLOW, "optimiser.epochs=1", TASKS.replace(", lesions: count", ""))
    train(store, tmp_path / "run", arm, hand_split(store))
    done = api.predict([store.folder], model=tmp_path / "run", out=tmp_path / "out")
    assert all(one.result and set(one.result.tasks) == {"grade", "years"} for one in done)
    (first, *_) = read_csv(tmp_path / "out" / "summary.csv", error=ConfigError, key=str).rows()
    assert {"grade:predicted", "grade:p:2", "years:value"} <= set(first)


def test_a_metric_of_a_task_can_be_compared(run):
    folder = run / "evaluation" / "validation"
    found = compare_results(folder, folder, metric="years:mae").contrasts[0]
    assert (found.better, found.difference) == ("lower", 0.0)
    with pytest.raises(ConfigError, match=r"no column 'years:rmse'.*years:mae"):
        compare_results(folder, folder, metric="years:rmse")


def test_an_ensemble_means_probabilities_and_values(run, store):
    member = load_member(run, calibrated=False)
    codes = store.image("P10")
    alone = build_ensemble([member]).answer(codes)
    alike = replace(member, model=member.model.model_copy(update={"sha256": "0" * 64}))
    twice = build_ensemble([member, alike]).answer(codes)
    for name, values in alone.tasks.items():
        np.testing.assert_allclose(twice.tasks[name], values)


def test_an_unknown_column_and_an_unknown_kind_are_refused_in_one_line(store, tmp_path):
    split = hand_split(store)
    with pytest.raises(ConfigError, match=r"no case has the column 'idh'.*age_years, grade, les"):
        train(
            store,
            tmp_path / "a",
            tiny_config("tasks={segmentation: segmentation, idh: classification}"),
            split,
        )
    with pytest.raises(ConfigError, match=r"no kind of task is called 'ordinal'.*count"):
        train(
            store,
            tmp_path / "b",
            tiny_config("tasks={segmentation: segmentation, grade: ordinal}"),
            split,
        )
    with pytest.raises(ConfigError, match=r"is a regression, but the column marker says 'bright'"):
        train(
            store,
            tmp_path / "c",
            tiny_config(
                "tasks={segmentation: segmentation, m: {kind: regression, column: marker}}"
            ),
            split,
        )
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    "weighting",
    [
        "upgrad",
        "pcgrad",
        "mgda",
        "imtlg",
        "alignedmtl",
        "dwa",
        "gradnorm",
        "uncertainty",
        "proportional",
    ],
)
def test_every_weighting_takes_three_tasks_or_more(store, tmp_path, weighting):
    split = hand_split(store, validation=("P00",), test=("P01",))
    train(store, tmp_path / "run", config(f"loss.weighting={weighting}"), split)
    *_, last = read_metrics(tmp_path / "run")
    assert set(last["weights"]) == {"segmentation", "marker", "grade", "years", "lesions"}


def test_cagrad_is_for_two_tasks(store, tmp_path):
    with pytest.raises(ConfigError, match="cagrad joins two tasks, and there are 5"):
        train(store, tmp_path / "run", config("loss.weighting=cagrad"), hand_split(store))


def test_the_body_and_the_marker_begin_as_without_further_tasks(store, tmp_path):
    """Weights drawn for a further head are drawn after the others."""
    split = hand_split(store)
    few = tiny_config(*SHALLOW, "optimiser.epochs=1", "loss.marker_weight=0")
    more = few.model_copy(update={"tasks": config().tasks})
    zero = {name: task.model_copy(update={"weight": 0.0}) for name, task in more.tasks.items()}
    more = more.model_copy(update={"tasks": {**zero, "segmentation": more.tasks["segmentation"]}})
    train(store, tmp_path / "few", few, split)
    train(store, tmp_path / "more", more, split)
    one, other = (load_checkpoint(tmp_path / name, "last").tensors for name in ("few", "more"))
    # A body that learns from the outline alone does not notice the other heads.
    for name, value in one.items():
        if name.startswith("model."):
            assert torch.equal(value, other[name]), name


def test_a_run_without_tasks_in_its_settings_is_the_published_one(tmp_path, store):
    split = hand_split(store)
    plain = tiny_config(*SHALLOW, "optimiser.epochs=1")
    train(store, tmp_path / "run", plain, split)
    path = tmp_path / "run" / "config.json"
    old = json.loads(path.read_text())
    del old["tasks"]
    path.write_text(json.dumps(old))
    before = read_metrics(tmp_path / "run")
    train(store, tmp_path / "run", plain, split)
    assert read_metrics(tmp_path / "run") == before
    meta_path = tmp_path / "run" / "checkpoints" / "best.json"
    meta = json.loads(meta_path.read_text())
    del meta["tasks"], meta["config"]["tasks"]
    meta_path.write_text(json.dumps(meta))
    assert list(load_checkpoint(tmp_path / "run").meta.auxiliary) == ["marker"]
    assert load_checkpoint(tmp_path / "run").network().auxiliary == ("marker",)
