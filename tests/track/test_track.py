"""Trackers show what metrics.jsonl holds, no more and no less, and never stop a training."""

import logging
import os
import subprocess
import sys

import pytest

from plgg import api
from plgg.errors import ConfigError
from plgg.experiment import Design, Workers
from plgg.io.files import read_json
from plgg.io.run import read_metrics
from plgg.track import require_trackers, tracked
from plgg.track.tracker import scalars
from plgg.train.run import train
from tiny import SMALL_SHAPE, hand_split, tiny_config, tiny_store

BOTH = ("tensorboard", "mlflow")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tiny_store(tmp_path_factory.mktemp("store"), n=6, shape=SMALL_SHAPE)


@pytest.fixture(autouse=True)
def server(tmp_path, monkeypatch):
    """An address of its own for each test."""
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return uri


class StoppedError(Exception):
    """As if somebody had pressed Ctrl-C."""


def run_it(store, run, *, epochs=3, stop_after=None, names=BOTH):
    """Train; `stop_after` breaks off once that epoch is told."""
    config = tiny_config("patches.size=[16,16,16]", f"optimiser.epochs={epochs}")
    split = hand_split(store, validation=("P00", "P01"), test=())

    def listener(event):
        record = getattr(event, "record", None)
        if record and record["epoch"] == stop_after:
            raise StoppedError

    with tracked(names, run, listener) as told:
        train(store, run, config, split, workers=1, listener=told)


def expected(run):
    return {
        (name, record["epoch"]): value
        for record in read_metrics(run)
        for name, value in scalars(record)
    }


def on_tensorboard(run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    found = [
        ((tag, event.step), event.value)
        for tag in events.Tags()["scalars"]
        for event in events.Scalars(tag)
    ]
    assert len(dict(found)) == len(found), "a point is there twice"
    return dict(found)


def on_mlflow(run, uri):
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    known = client.get_run(read_json(run / "mlflow.json")["run_id"])
    found = [
        ((name, metric.step), metric.value)
        for name in known.data.metrics
        for metric in client.get_metric_history(known.info.run_id, name)
    ]
    assert len(dict(found)) == len(found), "a point is there twice"
    return known, dict(found)


def test_both_show_what_the_log_holds_also_after_an_interruption(store, tmp_path, server):
    run = tmp_path / "runs" / "multitask"
    with pytest.raises(StoppedError):
        run_it(store, run, stop_after=2)
    known, _ = on_mlflow(run, server)
    assert known.info.status == "FAILED"
    run_it(store, run)
    wanted = expected(run)
    assert {epoch for _, epoch in wanted} == {1, 2, 3}
    assert on_tensorboard(run) == pytest.approx(wanted, rel=1e-6)
    known, found = on_mlflow(run, server)
    # Of the epoch at which it was stopped the times are those of the first attempt.
    numbers = {key for key in wanted if key[0] not in {"seconds", "waited"}}
    assert {key: found[key] for key in numbers} == pytest.approx(
        {key: wanted[key] for key in numbers}
    )
    assert set(found) == set(wanted)
    assert known.info.status == "FINISHED"
    assert known.data.params["loss.marker_weight"] == "0.3"
    assert (known.data.tags["arm"], known.data.tags["split"]) == ("multitask", "0")
    assert known.info.run_name == "runs/multitask"


def test_no_patient_is_named_to_mlflow(store, tmp_path):
    run_it(store, tmp_path / "run", epochs=1, names=("mlflow",))
    told = (tmp_path / "mlflow.db").read_bytes()
    assert b"loss.marker_weight" in told
    for case in store.by_id:
        assert case.encode() not in told
    assert str(store.folder).encode() not in told


def test_a_finished_run_can_be_shown_later(store, tmp_path):
    run = tmp_path / "run"
    run_it(store, run, epochs=2, names=())
    assert not (run / "tensorboard").exists()
    run_it(store, run, epochs=2, names=("tensorboard",))
    assert on_tensorboard(run) == pytest.approx(expected(run), rel=1e-6)


def test_a_server_that_is_not_there_costs_a_warning_and_no_more(
    store, tmp_path, monkeypatch, caplog
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with caplog.at_level(logging.WARNING, logger="plgg.track"):
        run_it(store, tmp_path / "run", epochs=2, names=("mlflow",))
    warnings = [r.message for r in caplog.records if r.name.startswith("plgg.track")]
    assert len(warnings) == 1
    assert "mlflow follows no more" in warnings[0]
    assert [record["epoch"] for record in read_metrics(tmp_path / "run")] == [1, 2]


@pytest.mark.parametrize(
    ("name", "package"),
    [("tensorboard", "tensorboard.compat.proto.event_pb2"), ("mlflow", "mlflow.tracking")],
)
def test_what_is_not_installed_is_named_before_anything_is_made(
    store, tmp_path, monkeypatch, name, package
):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=rf'pip install "plgg\[{name}\]"'):
        api.train(store.folder, tmp_path / "run", tiny_config(), track=(name,))
    assert not (tmp_path / "run").exists()


def test_an_unknown_tracker_is_refused():
    with pytest.raises(ConfigError, match="Choose tensorboard or mlflow"):
        require_trackers(["wandb"])


def test_nothing_is_reported_by_mlflow_itself(tmp_path):
    """Its telemetry is switched off before it is imported."""
    code = (
        "from plgg.track import mlflow; mlflow.require(); "
        "from mlflow.telemetry.utils import is_telemetry_disabled; "
        "print(is_telemetry_disabled())"
    )
    unset = {"MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK", "CI"}
    environment = {k: v for k, v in os.environ.items() if k not in unset}
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert found.stdout.strip() == "True"


def test_an_experiment_tracks_every_run(tmp_path):
    cohort = tiny_store(tmp_path / "store", n=9, shape=SMALL_SHAPE)
    out = tmp_path / "results"
    done = api.experiment(
        cohort.folder,
        out,
        tiny_config("patches.size=[16,16,16]", "optimiser.epochs=1"),
        design=Design(1, workers=Workers(track=("tensorboard",))),
    )
    assert not done.failed
    for arm in ("single", "multitask"):
        run = out / "split-0" / arm
        assert on_tensorboard(run) == pytest.approx(expected(run), rel=1e-6)
