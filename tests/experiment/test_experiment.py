"""Real experiments on a tiny cohort: disturbed as they may be, the table is the undisturbed one."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import begin
import psutil
import pytest

from plgg.core.errors import ConfigError, RunError
from plgg.core.output import EXPERIMENT, output_folder
from plgg.core.records import read_json
from plgg.data.experiment_folder import failures, points_of, read_choice, run_of
from plgg.data.run_folder import read_metrics
from plgg.experiment.options import Workers
from plgg.model.checkpoint import read_meta
from tiny import SMALL_SHAPE, tiny_store

SCRIPT = Path(begin.__file__)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tiny_store(tmp_path_factory.mktemp("store"), n=9, shape=SMALL_SHAPE).folder


@pytest.fixture(scope="module")
def whole(store, tmp_path_factory):
    """The experiment that nothing disturbed."""
    out = tmp_path_factory.mktemp("whole") / "results"
    assert not begin.begin(store, out).failed
    return out


def table(out):
    return (out / "table1.csv").read_text(encoding="utf-8")


def in_a_process(store, out, *more, **options):
    paths = os.pathsep.join([str(SCRIPT.parent), str(SCRIPT.parent.parent)])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, SCRIPT, store, out, *more]
    return subprocess.Popen(command, env=environment, **options)


def wait_for(condition, *, seconds=590):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "nothing happened"
        time.sleep(0.02)


def test_finished_runs_are_not_made_again(store, whole):
    before = {p: p.stat().st_mtime_ns for p in whole.rglob("*.safetensors")}
    assert not begin.begin(store, whole).failed
    assert before == {p: p.stat().st_mtime_ns for p in whole.rglob("*.safetensors")}
    assert (whole / "report.html").is_file()


def test_a_killed_experiment_goes_on_to_the_same_table(store, whole, tmp_path):
    out = tmp_path / "results"
    process = in_a_process(store, out)
    wait_for(lambda: read_metrics(out / "split-0" / "multitask"))
    process.kill()
    process.wait()
    assert not (out / "table1.csv").exists()
    assert not begin.begin(store, out).failed
    assert table(out) == table(whole)


@pytest.mark.parametrize("damage", ["missing", "cut", "not there"])
def test_an_evaluation_that_was_lost_is_made_again(store, whole, tmp_path, damage):
    out = tmp_path / "results"
    shutil.copytree(whole, out)
    cases = out / "split-0" / "multitask" / "evaluation" / "test" / "cases.csv"
    if damage == "missing":
        cases.unlink()
    elif damage == "cut":
        cases.write_bytes(cases.read_bytes()[:200])
    else:
        shutil.rmtree(cases.parent)
    assert not begin.begin(store, out).failed
    assert table(out) == table(whole)


def test_a_failed_run_is_told_and_tried_again(store, whole, tmp_path):
    out = tmp_path / "results"
    hindrance = out / "split-1" / "single" / "metrics.jsonl"
    with output_folder(out, EXPERIMENT):
        hindrance.mkdir(parents=True)
    done = begin.begin(store, out, workers=Workers(retries=1))
    assert list(done.failed) == ["split 2, single"]
    assert "metrics.jsonl" in done.failed["split 2, single"]
    assert list(failures(out)) == ["split-1/single"]
    assert read_json(hindrance.parent / "failure.json")["attempts"] == 2
    assert "Traceback" in (hindrance.parent / "failure.log").read_text()
    # The others are finished and in the table; the one that failed is named in the report.
    assert table(out) != table(whole)
    assert "it failed" in done.report.read_text(encoding="utf-8")
    hindrance.rmdir()
    assert not begin.begin(store, out).failed
    assert not failures(out)
    assert table(out) == table(whole)


def test_a_grid_is_decided_by_each_splits_validation_patients(store, tmp_path):
    out = tmp_path / "results"
    done = begin.begin(store, out, grid=("loss.marker_weight=0,.5",))
    assert not done.failed
    for k in (0, 1):
        points = points_of(out, k, "multitask")
        assert set(points) == {"loss.marker_weight=0", "loss.marker_weight=0.5"}
        choice = read_choice(out / f"split-{k}" / "multitask")
        assert set(choice.scores) == set(points)
        assert choice.scores[choice.point] == max(choice.scores.values())
        for point, run in points.items():
            assert choice.scores[point] == pytest.approx(read_meta(run).best_dice, abs=0.2)
        assert run_of(out, k, "multitask") == points[choice.point]
        assert run_of(out, k, "single") == out / f"split-{k}" / "single"
    rows = table(out).splitlines()
    assert len([row for row in rows if row[0].isdigit()]) == 2
    assert read_json(out / "experiment.json")["grid"] == {"loss.marker_weight": [0.0, 0.5]}
    # The same values, typed in another way, are the same grid.
    assert not begin.begin(store, out, grid=("loss.marker_weight=0.0,0.50",)).failed
    with pytest.raises(RunError, match="another grid"):
        begin.begin(store, out, grid=("loss.marker_weight=0,.9",))
    with pytest.raises(RunError, match="another grid"):
        begin.begin(store, out)


def test_a_grid_and_an_arm_do_not_set_the_same(store, tmp_path):
    with pytest.raises(ConfigError, match=r"'late' sets loss.marker_weight, and so does the grid"):
        begin.begin(
            store,
            tmp_path / "results",
            grid=("loss.marker_weight=0,.5",),
            defined=("late=multitask loss.marker_weight=0.3",),
        )
    assert not (tmp_path / "results").exists()


@pytest.mark.slow
def test_more_cores_than_a_machine_has_are_refused(store, tmp_path):
    pytest.importorskip("ray", reason="Ray is an extra")
    process = in_a_process(
        store, tmp_path / "results", "ray", "100000", stderr=subprocess.PIPE, text=True
    )
    told = process.communicate(timeout=590)[1]
    assert process.returncode == 1
    assert "a run asks for 100000 CPUs" in told


def test_an_experiment_may_grow_but_not_change(store, whole, tmp_path):
    out = tmp_path / "results"
    begin.begin(store, out, arms=("single",))
    kept = (out / "split-0" / "single" / "metrics.jsonl").stat().st_mtime_ns
    defined = ("late=multitask loss.marker_weight=0.3",)
    begin.begin(store, out, arms=("single",), defined=defined)
    assert json.loads((out / "experiment.json").read_text())["arms"] == ["single", "late"]
    assert (out / "split-0" / "single" / "metrics.jsonl").stat().st_mtime_ns == kept
    assert read_metrics(out / "split-1" / "late")[-1]["train"] == pytest.approx(
        read_metrics(whole / "split-1" / "multitask")[-1]["train"]
    )
    with pytest.raises(RunError, match="another arm 'late'"):
        begin.begin(store, out, arms=("single",), defined=("late=multitask loss.marker_weight=1",))


def is_worker(title):
    """Whether a process is a worker of Ray's; where Ray can, it gives them a title of its own."""
    if title and title[0].startswith("ray::"):
        return not title[0].endswith("Agent")
    return "python" in Path(title[0]).name and any(
        part.endswith("default_worker.py") for part in title[1:]
    )


@pytest.mark.slow
def test_ray_gives_the_same_table_though_a_worker_is_killed(store, whole, tmp_path):
    pytest.importorskip("ray", reason="Ray is an extra")
    out = tmp_path / "results"
    process = in_a_process(store, out, "ray")

    wait_for(lambda: any(read_metrics(run) for run in out.glob("split-*/*")))
    children = psutil.Process(process.pid).children(recursive=True)
    titles = {child.pid: child.cmdline() for child in children}
    workers = [pid for pid, title in titles.items() if is_worker(title)]
    assert workers, titles
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    assert process.wait(timeout=590) == 0
    assert table(out) == table(whole)
