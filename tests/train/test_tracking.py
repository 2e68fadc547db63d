"""Curves elsewhere are those of metrics.jsonl, whatever happens to the run or to the tracker."""

import logging
import socket

import pytest
from mlflow.tracking import MlflowClient
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from plgg.core.errors import ConfigError
from plgg.core.progress import EpochEnd, Step
from plgg.core.records import read_json
from plgg.data.run_folder import append_metrics, read_metrics, start_run
from plgg.train.run import train
from plgg.train.tracking.base import TrackedRun, end_times, last_part, parameters, scalars, tags
from plgg.train.tracking.follow import TRACKERS, Tracking, tracked
from runs import SHALLOW
from tiny import SMALL_SHAPE, hand_split, tiny_config, tiny_store

CONFIG = tiny_config(*SHALLOW, "loss.gradients_every=1")
VALIDATION = ("P00", "P01")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tiny_store(tmp_path_factory.mktemp("store"), n=6, shape=SMALL_SHAPE)


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """MLflow on a database of the tests' own."""
    return MlflowClient(f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}")


def silent(event):
    pass


def follow(run, client, listener=silent):
    """Both trackers; in place of a client of MLflow's an address."""
    tracking = Tracking(tuple(TRACKERS), "results", getattr(client, "tracking_uri", client))
    return tracked(run, tracking, listener, name=run.name, arm="joined")


def begun(run, store, n=0):
    """A run folder with `n` epochs of known numbers."""
    split = hand_split(store).model_dump(mode="json")
    start_run(run, CONFIG, split, store=store.folder)
    for _ in range(n):
        one_more(run)
    return run


def one_more(run, factor=1.0):
    epoch = len(read_metrics(run)) + 1
    record = {
        "epoch": epoch,
        "train": {"loss": factor / epoch, "marker": 0.1},
        "validation": {"dice": None if epoch % 2 else 0.5, "marker_collapsed": epoch == 1},
        "gradients": {"cosine": -0.25},
        "seconds": 2.0,
    }
    append_metrics(run, record)
    return EpochEnd(record)


def expected(run):
    """What a reader must find: (step, value) by name."""
    curves = {}
    for record in read_metrics(run):
        for name, value in scalars(record).items():
            curves.setdefault(name, []).append((record["epoch"], pytest.approx(value, rel=1e-6)))
    return curves


def of_tensorboard(run):
    """All that the files hold, nothing purged by the reader."""
    found = EventAccumulator(str(run / "tensorboard"), purge_orphaned_data=False).Reload()
    return {n: [(e.step, e.value) for e in found.Scalars(n)] for n in found.Tags()["scalars"]}


def id_of(run):
    return read_json(run / "mlflow.json")["run_id"]


def of_mlflow(run, client):
    names = client.get_run(id_of(run)).data.metrics
    history = {name: client.get_metric_history(id_of(run), name) for name in names}
    return {n: sorted((m.step, m.value) for m in found) for n, found in history.items()}


def assert_curves(run, client):
    assert expected(run)
    assert of_tensorboard(run) == expected(run)
    assert of_mlflow(run, client) == expected(run)


def test_an_interrupted_and_resumed_run_has_the_curves_of_its_log(store, client, tmp_path):
    run = tmp_path / "run"

    def interrupt(event):
        if isinstance(event, Step) and (event.epoch, event.step) == (3, 1):
            raise KeyboardInterrupt

    split = hand_split(store, validation=VALIDATION, test=())
    with pytest.raises(KeyboardInterrupt), follow(run, client, interrupt) as told:
        train(store, run, CONFIG, split, listener=told)
    assert_curves(run, client)
    assert client.get_run(id_of(run)).info.status == "KILLED"
    before = id_of(run)
    with follow(run, client) as told:
        train(store, run, CONFIG, split, listener=told)
    assert len(read_metrics(run)) == 3
    assert_curves(run, client)
    assert id_of(run) == before
    assert client.get_run(before).info.status == "FINISHED"
    named = {"train/loss", "train/segmentation", "validation/dice", "weights/marker"}
    assert named | {"gradients/cosine", "learning_rate", "seconds", "waited"} <= set(expected(run))


def test_what_a_kill_kept_from_the_trackers_comes_with_the_next_epoch(store, client, tmp_path):
    run = begun(tmp_path / "run", store)
    killed = follow(run, client)
    killed.__enter__()(one_more(run))  # and never left
    torn = next((run / "tensorboard").iterdir())
    torn.write_bytes(torn.read_bytes()[:-5])
    one_more(run)
    with follow(run, client) as told:
        told(one_more(run))
        assert_curves(run, client)
    assert len(list((run / "tensorboard").iterdir())) == 1


def test_a_finished_run_is_brought_what_is_missing_and_nothing_twice(store, client, tmp_path):
    run = begun(tmp_path / "run", store, n=3)
    for _ in range(2):
        with follow(run, client):
            pass
        assert_curves(run, client)


def test_training_begun_anew_is_another_run_of_mlflows(store, client, tmp_path):
    run = begun(tmp_path / "run", store, n=3)
    with follow(run, client):
        pass
    before = id_of(run)
    (run / "metrics.jsonl").unlink()
    with follow(run, client) as told:
        told(one_more(run, factor=2.0))
    assert id_of(run) != before
    assert_curves(run, client)


def test_a_run_deleted_from_mlflow_is_told_again(store, client, tmp_path):
    run = begun(tmp_path / "run", store, n=1)
    with follow(run, client):
        pass
    client.delete_run(id_of(run))
    with follow(run, client) as told:
        told(one_more(run))
    assert_curves(run, client)


def test_a_run_that_is_refused_leaves_no_trace(store, client, tmp_path):
    run = begun(tmp_path / "run", store, n=2)
    with pytest.raises(ConfigError), follow(run, client):
        raise ConfigError("no")
    assert not (run / "tensorboard").exists()
    assert not (run / "mlflow.json").exists()


def test_mlflow_knows_settings_and_labels_but_no_patient(store, client, tmp_path):
    run = begun(tmp_path / "run", store, n=1)
    with follow(run, client):
        pass
    found = client.get_run(id_of(run))
    assert found.data.params == parameters(TrackedRun(run, "run", "joined"))
    assert found.data.params["patches.size"] == "[16, 16, 16]"
    assert found.data.params["loss.marker_weight"] == str(CONFIG.loss.marker_weight)
    assert found.data.tags["split"] == "0"
    assert found.data.tags["arm"] == "joined"
    assert found.data.tags["experiment"] == "results"
    assert found.data.tags["store"] == store.folder.name
    assert client.get_experiment(found.info.experiment_id).name == "plgg"
    told = str(found.to_dictionary())
    assert not any(case in told for case in store.by_id)
    assert str(store.folder) not in told


def test_a_path_is_told_by_its_end_alone(store, tmp_path):
    assert last_part("/data/anna/runs/first") == "first"
    assert last_part(r"C:\anna\runs\first") == "first"
    assert last_part("built-in") == "built-in"
    assert "/" not in tags(TrackedRun(begun(tmp_path / "run", store), "run", "single"))["store"]


def test_end_times_count_back_from_now_by_what_epochs_took():
    records = [{"epoch": 1, "seconds": 50.0}, {"epoch": 2, "seconds": 3.0}, {"epoch": 3}]
    assert end_times(records, 100.0) == [97.0, 100.0, 100.0]
    assert end_times([], 100.0) == []


def unused_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def test_a_server_that_is_gone_is_one_warning_without_its_password(store, client, tmp_path, caplog):
    run = begun(tmp_path / "run", store)
    address = f"http://anna:secret@127.0.0.1:{unused_port()}"
    with caplog.at_level(logging.WARNING), follow(run, address) as told:
        for _ in range(3):
            told(one_more(run))
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 1
    assert "mlflow" in warnings[0]
    assert "training goes on" in warnings[0]
    assert "secret" not in warnings[0]
    assert "\n" not in warnings[0]
    assert of_tensorboard(run) == expected(run)
    # Repeated when the server is there.
    with follow(run, client):
        pass
    assert_curves(run, client)


def test_a_tracker_that_mends_itself_has_the_whole_curve_in_the_end(
    store, client, tmp_path, caplog
):
    run = begun(tmp_path / "run", store)
    hindrance = run / "tensorboard"
    hindrance.write_text("a file in place of the folder")
    with follow(run, client) as told:
        told(one_more(run))
        hindrance.unlink()
        told(one_more(run))
    assert len(caplog.records) == 1
    assert_curves(run, client)
