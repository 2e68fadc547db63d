"""The figures and tables that tell an experiment apart: they show what the records hold."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from make_experiment import make_experiment, make_store
from test_experiment_report import read

from plgg.data.experiment_folder import Choice, note_failure
from plgg.evaluate.compare.experiment import compare_experiment
from plgg.evaluate.experiment_records import read_experiment
from plgg.report.experiment.arms import forest_figure, forest_picture
from plgg.report.experiment.facts import run_facts
from plgg.report.experiment.markers import reliability
from plgg.report.experiment.page import write_experiment_report
from plgg.report.experiment.runs import (
    grid_points,
    levels,
    run_records,
    runs_sentence,
    runs_table,
    searched,
    winners,
)
from plgg.report.experiment.subgroups import groups_table, n_left_out, subgroups, subgroups_figure
from plgg.report.experiment.training import (
    COSINE,
    NORMS,
    WEIGHTS,
    gradient_curves,
    gradient_pictures,
    gradient_sentences,
    grid_figure,
    grid_pictures,
    points,
)

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


def test_the_corrected_interval_is_drawn_and_nothing_else_is_cut_off(finished):
    comparison = compare_experiment(finished)
    (contrast,) = comparison.on("test")
    axes = forest_figure([contrast], comparison.arms).axes[0]
    found = contrast.splits.interval
    assert (found.low, found.high) in [tuple(line.get_xdata()) for line in axes.lines]
    low, high = axes.get_xlim()
    whole = [0.0, contrast.interval.low, contrast.interval.high]
    whole += [each.difference for each in contrast.split_differences]
    assert low < min(whole)
    assert max(whole) < high


def test_one_split_has_one_row_and_a_caption_of_its_own(tmp_path, store):
    folder = make_experiment(tmp_path / "one", store, n_splits=1)
    comparison = compare_experiment(folder)
    axes = forest_figure(comparison.on("test"), comparison.arms).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["Multitask"]
    caption = forest_picture(read_experiment(folder), comparison).caption
    assert "Dots are splits" not in caption
    assert "one split does not show" in caption


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


def test_the_winners_are_those_of_the_choices(searched_experiment):
    experiment = read_experiment(searched_experiment)
    assert winners(grid_points(experiment), KEY) == {"0.1": [0], "1": [1]}
    (picture,) = grid_pictures(experiment)
    assert "Chosen: 0.1 by split 1; 1 by split 2." in picture.caption


def test_a_winner_whose_dice_is_nothing_is_ringed_too(finished):
    run = run_records(read_experiment(finished))[0]
    changes = {"arm": "multitask", "point": f"{KEY}=0.1", "dice": 0.0, "chosen": True}
    point = replace(run, **changes)
    axes = grid_figure([point], "multitask", KEY).axes[0]
    (rings,) = [c for c in axes.collections if c.get_label() == "chosen"]
    assert rings.get_offsets()[:, 1] == [0.0]


def test_points_that_failed_or_are_missing_are_named(searched_experiment):
    arm = searched_experiment / "split-1" / "multitask"
    shutil.rmtree(arm / f"{KEY}=0.1")
    (arm / f"{KEY}=0.1").mkdir()
    note_failure(arm / f"{KEY}=0.1", "no memory", "trace")
    shutil.rmtree(searched_experiment / "split-0" / "multitask" / f"{KEY}=1")
    experiment = read_experiment(searched_experiment)
    assert f"Split 2, multitask, {KEY}=0.1: it failed (no memory)." in experiment.notes
    runs = run_records(experiment)
    states = {(r.split, r.point): r.state for r in runs if r.arm == "multitask"}
    assert states == {
        (0, f"{KEY}=0.1"): "done",
        (0, f"{KEY}=1"): "not run yet",
        (1, f"{KEY}=0.1"): "failed",
        (1, f"{KEY}=1"): "done",
    }
    assert runs_sentence(runs) == (
        f"Of 6 runs, 4 are done; 1 failed (multitask, {KEY}=0.1 on split 2); "
        f"1 not run yet (multitask, {KEY}=1 on split 1)."
    )


def test_a_grid_without_a_choice_says_so(searched_experiment):
    (searched_experiment / "split-0" / "multitask" / "choice.json").unlink()
    experiment = read_experiment(searched_experiment)
    assert experiment.notes == ("Split 1, multitask: no point of the grid is chosen yet.",)
    assert {p.split for p in grid_points(experiment) if p.chosen} == {1}


def test_time_of_training_counts_the_points_that_lost(searched_experiment):
    experiment = read_experiment(searched_experiment)
    facts = dict(run_facts(experiment, run_records(experiment)))
    # Two single runs and four points of 8 epochs, 2.5 s each.
    assert facts["Time of training"] == "2 min 00 s"


def test_gradients_are_shown_of_two_tasks_alone(finished):
    experiment = read_experiment(finished)
    assert len(gradient_pictures(experiment)) == len((COSINE, *NORMS))
    for run in experiment.of("multitask"):
        shown = points(run, COSINE)
        assert shown == [(e["epoch"], e["gradients"]["cosine"]) for e in run.epochs]
    assert all(not points(run, COSINE) for run in experiment.of("single"))


def test_weights_are_drawn_where_training_changed_them(copied):
    assert gradient_curves(read_experiment(copied)) == (COSINE, *NORMS)
    path = copied / "split-0" / "multitask" / "metrics.jsonl"
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    lines[-1]["weights"]["marker"] = 0.5
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    assert gradient_curves(read_experiment(copied)) == (COSINE, *NORMS, *WEIGHTS)


def test_the_cosine_is_told_of_all_splits(finished):
    experiment = read_experiment(finished)
    (told,) = gradient_sentences(experiment)
    found = [e["gradients"]["cosine"] for r in experiment.of("multitask") for e in r.epochs]
    assert f"{np.mean(np.array(found) < 0) * 100:.0f} %" in told
    assert f"{abs(np.mean(found)):.2f}" in told


def test_reliability_counts_every_tested_scan_once_a_split(finished):
    experiment = read_experiment(finished)
    tested = [case for _, case in experiment.tested("multitask") if case.marker]
    bins = reliability(experiment, "multitask")
    assert sum(each.n for each in bins) == len(tested)
    right = sum(case.predicted_marker == case.marker for case in tested)
    assert sum(each.n * each.accuracy for each in bins) == pytest.approx(right)


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


def test_groups_count_only_what_every_arm_tested(copied):
    complete = subgroups(read_experiment(copied))
    assert n_left_out(read_experiment(copied)) == 0
    shutil.rmtree(copied / "split-1" / "multitask" / "evaluation")
    experiment = read_experiment(copied)
    tested = json.loads((copied / "split-0" / "single" / "split.json").read_text())["test"]
    assert n_left_out(experiment) == len(tested)
    groups = subgroups(experiment)
    assert {g.level for g in groups} <= {g.level for g in complete}
    sexes = [group for group in groups if group.trait == "sex"]
    assert sum(group.n_patients for group in sexes) in {0, len(tested)}


def test_the_figure_of_groups_holds_every_mean(finished):
    groups = subgroups(read_experiment(finished))
    axes = subgroups_figure(groups, ("single", "multitask")).axes[0]
    dots = [float(c.get_offsets()[0, 0]) for c in axes.collections if len(c.get_offsets())]
    expected = [found.value for group in groups for found in group.dice.values()]
    assert sorted(dots) == pytest.approx(sorted(expected))
    for group in groups:
        for found in group.dice.values():
            assert found.low <= found.value <= found.high
