"""A run that was killed, interrupted or finished goes on to the very same numbers."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import killed
import pytest

from plgg.core.errors import RunError
from plgg.core.output import RUN, output_folder
from plgg.core.progress import Step
from plgg.data.run_folder import read_metrics
from plgg.data.store import Store
from plgg.data.store_records import Cohort
from plgg.data.store_writing import write_cohort
from plgg.model.checkpoint import load_checkpoint, remove_replaced
from plgg.train.run import train
from runs import make_run
from tiny import SMALL_SHAPE, hand_split, tiny_config, tiny_store


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tiny_store(tmp_path_factory.mktemp("store"), n=6, shape=SMALL_SHAPE)


@pytest.fixture(scope="module")
def whole(store, tmp_path_factory):
    """A run that nothing disturbed."""
    run = tmp_path_factory.mktemp("whole") / "run"
    killed.begin(store, run)
    return run


@pytest.fixture(scope="module")
def killed_runs(store, tmp_path_factory):
    out = tmp_path_factory.mktemp("killed")
    subprocess.run([sys.executable, killed.__file__, store.folder, out], check=True, timeout=590)
    return out


def numbers(run):
    return [
        {k: v for k, v in record.items() if k not in {"seconds", "waited"}}
        for record in read_metrics(run)
    ]


def files(run):
    return sorted(path.name for path in (run / "checkpoints").iterdir())


def assert_same_run(run, whole):
    assert numbers(run) == numbers(whole)
    assert files(run) == files(whole)
    for name in ("last", "best"):
        found, expected = load_checkpoint(run, name).meta, load_checkpoint(whole, name).meta
        assert found == expected  # the hash of the weights among the rest


@pytest.mark.parametrize("moment", killed.MOMENTS)
def test_killed_and_resumed_equals_undisturbed(store, whole, killed_runs, moment):
    run = killed_runs / moment
    assert len(numbers(run)) < 3 or "last" in moment or "meta" in moment
    killed.begin(store, run)
    assert_same_run(run, whole)


def test_an_interrupt_from_the_keyboard_leaves_a_run_to_resume(store, whole, tmp_path):
    def interrupt(event):
        if isinstance(event, Step) and (event.epoch, event.step) == (3, 1):
            signal.raise_signal(signal.SIGINT)

    # Ctrl-C as at a terminal, also where the tests run in the background and it is ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            killed.begin(store, tmp_path / "run", interrupt)
    finally:
        signal.signal(signal.SIGINT, before)
    assert load_checkpoint(tmp_path / "run", "last").meta.epoch == 2
    killed.begin(store, tmp_path / "run")
    assert_same_run(tmp_path / "run", whole)


def test_a_line_that_a_kill_cut_short_is_dropped(store, whole, tmp_path):
    def stop(event):
        if isinstance(event, Step) and event.epoch == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        killed.begin(store, tmp_path / "run", stop)
    with (tmp_path / "run" / "metrics.jsonl").open("a", encoding="utf-8") as handle:
        handle.write('{"epoch": 2, "train": {"lo')
    killed.begin(store, tmp_path / "run")
    assert_same_run(tmp_path / "run", whole)


def contents(run):
    return {path: path.read_bytes() for path in Path(run).rglob("*") if path.is_file()}


def test_weights_that_a_kill_left_behind_are_removed(tmp_path):
    run = make_run(tmp_path / "run")
    folder = run / "checkpoints"
    (weights,) = folder.glob("best-*.safetensors")
    shutil.copy(weights, folder / "best-0001.safetensors")
    shutil.copy(weights, folder / "best-of-all.safetensors")
    remove_replaced(run)
    left = {path.name for path in folder.glob("*.safetensors")}
    assert left == {weights.name, "best-of-all.safetensors"}


def test_after_the_last_epoch_there_is_nothing_to_do(store, whole):
    before, told = contents(whole), []
    killed.begin(store, whole, told.append)
    assert told == []
    assert contents(whole) == before


@pytest.mark.parametrize(
    ("settings", "split", "named"),
    [
        (("optimiser.learning_rate=0.5",), {}, "another optimiser"),
        (("seed=9", "arm=single"), {}, "another arm, seed"),
        ((), {"validation": ("P02",)}, "another split"),
    ],
)
def test_another_run_is_refused_and_left_alone(store, whole, settings, split, named):
    before = contents(whole)
    parts = {"validation": killed.VALIDATION, "test": ()} | split
    config = tiny_config(*killed.SETTINGS, *settings)
    with pytest.raises(RunError, match=f"{named}.*--run") as caught:
        train(store, whole, config, hand_split(store, **parts))
    assert "\n" not in str(caught.value)
    assert contents(whole) == before


def begun(store, run):
    """A run stopped after its first epoch."""

    def stop(event):
        if isinstance(event, Step) and event.epoch == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        killed.begin(store, run, stop)


@pytest.mark.parametrize(
    "classes", [("bright", "dark", "other"), ("a", "bright", "dark", "middle")]
)
def test_a_store_of_other_classes_cannot_carry_a_run_on(store, tmp_path, classes):
    """The head's outputs are in the order of the classes: other names would be learned wrongly."""
    begun(store, tmp_path / "run")
    rename = {"middle": "other"} if "other" in classes else {}
    cases = tuple(
        case.model_copy(update={"marker": rename.get(case.marker, case.marker)})
        for case in store.cohort.cases
    )
    folder = tmp_path / "store"
    folder.mkdir()
    (folder / "cases").symlink_to(store.folder / "cases")
    write_cohort(folder, Cohort(spacing_mm=4.0, classes=classes, cases=cases))
    with pytest.raises(RunError, match=r"classes.*bright, dark, middle"):
        killed.begin(Store(folder), tmp_path / "run")


def test_a_run_without_a_readable_split_is_refused(store, tmp_path):
    begun(store, tmp_path / "run")
    (tmp_path / "run" / "split.json").write_text("{")
    with pytest.raises(RunError, match=r"split\.json"):
        killed.begin(store, tmp_path / "run")


def test_a_folder_left_before_its_config_is_begun_anew(store, whole, tmp_path):
    run = tmp_path / "run"
    with output_folder(run, RUN):
        (run / "checkpoints").mkdir()
        (run / "split.json").write_text(json.dumps({"from": "a kill"}))
    killed.begin(store, run)
    assert_same_run(run, whole)
