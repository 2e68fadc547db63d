"""The figures and tables that tell an experiment apart: they show what the records hold."""

import json
import shutil

import numpy as np
import pytest
from make_experiment import make_experiment, make_store
from test_experiment_report import read

from plgg.compare import compare_experiment
from plgg.io.experiment import Choice, note_failure
from plgg.report import write_experiment_report
from plgg.report.experiment_records import read_experiment
from plgg.report.figures_forest import forest_figure
from plgg.report.figures_gradients import COSINE, NORMS
from plgg.report.figures_grid import grid_figure
from plgg.report.figures_training import points
from plgg.report.grid_records import grid_points, levels, searched
from plgg.report.panels_details import forest_picture, gradient_pictures, grid_pictures
from plgg.report.run_records import run_records
from plgg.report.subgroups import subgroups
from plgg.report.tables_groups import groups_table
from plgg.report.tables_runs import runs_table

KEY = "loss.marker_weight"


@pytest.fixture
def copied(tmp_path, finished):
    """A copy to change."""
    return shutil.copytree(finished, tmp_path / "experiment")


@pytest.fixture
def searched_experiment(copied):
    """The multitask runs as the points of a grid, the second of them chosen on split 1."""
    for split in (0, 1):
        arm = copied / f"split-{split}" / "multitask"
        moved = copied / "aside"
        arm.rename(moved)
        for value in ("0.1", "1"):
            shutil.copytree(moved, arm / f"{KEY}={value}")
            (arm / f"{KEY}={value}" / "checkpoints").mkdir()
        shutil.rmtree(moved)
        choice = Choice(point=f"{KEY}={'1' if split else '0.1'}", scores={})
        (arm / "choice.json").write_text(choice.model_dump_json(), encoding="utf-8")
    record = json.loads((copied / "experiment.json").read_text(encoding="utf-8"))
    record |= {"version": 2, "grid": {KEY: [0.1, 1.0]}, "config": {}}
    (copied / "experiment.json").write_text(json.dumps(record), encoding="utf-8")
    return copied


def test_the_forest_shows_every_split_and_the_interval(finished):
    comparison = compare_experiment(finished)
    (contrast,) = comparison.on("test")
    axes = forest_figure([contrast], comparison.arms).axes[0]
    dots = np.concatenate([c.get_offsets()[:, 0] for c in axes.collections])
    expected = [contrast.difference, *(found.difference for found in contrast.split_differences)]
    assert sorted(dots) == pytest.approx(sorted(expected))
    spans = [tuple(line.get_xdata()) for line in axes.lines]
    assert (contrast.interval.low, contrast.interval.high) in spans
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["Multitask, 2 splits", "split 1", "split 2"]


def test_arms_stand_below_each_other_without_touching(finished):
    (contrast,) = compare_experiment(finished).on("test")
    axes = forest_figure([contrast] * 4, ("single", "multitask", "a", "b", "c")).axes[0]
    rows = axes.get_yticks()
    assert len(rows) == 12
    assert min(np.diff(rows)) > 0.99


def test_one_arm_has_no_forest(tmp_path):
    store = make_store(tmp_path / "store")
    out = make_experiment(tmp_path / "one", store, arms=("single",))
    assert forest_picture(read_experiment(out), compare_experiment(out)) is None


def test_the_verdict_and_what_it_would_take_stand_on_the_page(finished):
    page = read(write_experiment_report(finished))
    (contrast,) = compare_experiment(finished).on("test")
    assert "multitask is better than single" in page.text or "worse than single" in page.text
    assert "it would take" in page.text
    assert contrast.power is not None


def test_without_a_grid_there_is_no_search(finished):
    experiment = read_experiment(finished)
    assert grid_points(experiment) == ()
    assert grid_pictures(experiment) == []
    assert "What was searched" not in read(write_experiment_report(finished)).text


def test_a_grid_shows_its_points_and_the_chosen(searched_experiment):
    experiment = read_experiment(searched_experiment)
    found = grid_points(experiment)
    assert searched(found) == (KEY,)
    assert levels(found, KEY) == ("0.1", "1")
    assert {(p.split, p.values[KEY]) for p in found if p.chosen} == {(0, "0.1"), (1, "1")}
    for point in found:
        folder = searched_experiment / f"split-{point.split}/multitask/{KEY}={point.values[KEY]}"
        summary = json.loads((folder / "evaluation/validation/summary.json").read_text())
        assert point.dice == summary["segmentation"]["dice"]["mean"]
        assert point.auc == summary["marker"]["auc"]["value"]
    axes = grid_figure(found, "multitask", KEY).axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.1", "1"]
    page = read(write_experiment_report(searched_experiment))
    assert "What was searched" in page.text
    rows = runs_table(run_records(experiment)).rows
    assert sum("(chosen)" in row[2] for row in rows) == 2
    assert len(rows) == 2 * (1 + 2)


def test_gradients_are_shown_of_two_tasks_alone(finished):
    experiment = read_experiment(finished)
    assert len(gradient_pictures(experiment)) == len((COSINE, *NORMS))
    for run in experiment.of("multitask"):
        shown = points(run, COSINE)
        assert shown == [(e["epoch"], e["gradients"]["cosine"]) for e in run.epochs]
    assert all(not points(run, COSINE) for run in experiment.of("single"))


def test_every_run_is_a_row_that_tells_its_state(copied):
    note_failure(copied / "split-1" / "single", "the disk is full", "trace")
    shutil.rmtree(copied / "split-1" / "multitask")
    table = runs_table(run_records(read_experiment(copied)))
    assert "Point" not in table.header
    states = {tuple(row[:2]): row[2] for row in table.rows}
    assert states == {
        ("1", "Single-task"): "done",
        ("1", "Multitask"): "done",
        ("2", "Single-task"): "failed: the disk is full",
        ("2", "Multitask"): "not run yet",
    }
    done = dict(zip(table.header, table.rows[0], strict=True))
    assert (done["Epochs"], done["Time"], done["Waited"]) == ("8", "20 s", "2.0 %")
    record = read_experiment(copied).runs[0]
    best = max(e["validation"]["dice"] for e in record.epochs if "validation" in e)
    assert done["Best at"].endswith(f"({best:.3f})")


def test_kinds_of_patients_have_the_means_of_their_patients(finished):
    experiment = read_experiment(finished)
    table = groups_table(subgroups(experiment))
    assert table.header == ("Group", "Level", "Patients", "Single-task", "Multitask")
    row = next(row for row in table.rows if row[:2] == ("sex", "F"))
    found = {}
    for _, case in experiment.tested("multitask"):
        if case.sex == "F":
            found.setdefault(case.patient_id, []).append(case.dice)
    assert row[2] == str(len(found))
    assert row[4].split(" ")[0] == f"{np.mean([np.mean(values) for values in found.values()]):.3f}"
    assert all(int(row[2]) >= 3 for row in table.rows)
