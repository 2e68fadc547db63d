"""Cases on Ray: what comes out is what comes out here; who is killed costs nobody else anything.

One Ray of two cores for the whole module; `ray_address` is how another process joins it.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

import jobs
from plgg import api
from plgg.cli.options import workers_of
from plgg.core.errors import ConfigError, InputError, WorkerError
from plgg.core.on_ray import MOST_RETRIES, on_ray
from plgg.core.ray_session import RayWorkers, import_ray, ray_session
from plgg.core.shared_folder import shared_folder
from plgg.phantom.settings import phantom_settings
from plgg.predict.options import PredictOptions
from runs import make_run

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL"),
    # Of Ray itself, which leaves its own sockets and log files to the end of the process.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
SETTINGS = (
    "grid.spacing_mm=8",
    "preprocess.registration=centre",
    "preprocess.stripping=none",
    "patches.size=[16,16,16]",
)
CLASSES = ("BRAF_V600E", "BRAF_fusion", "other")
ON_RAY = RayWorkers()
# What differs between two runs of the same work: how long it took, and the hashes of that.
TIMES = {"seconds", "seal", "created"}


@pytest.fixture(scope="module")
def ray_address():
    pytest.importorskip("ray", reason="Ray is an extra")
    ray = import_ray()
    tests = Path(__file__).parents[1]
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(tests), before]))
    # One of its own, though others may run on this machine.
    quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": 40}
    found = ray.init(address="local", num_cpus=2, **quiet)
    yield found.address_info["gcs_address"]
    ray.shutdown()
    os.environ.pop("PYTHONPATH")
    if before is not None:
        os.environ["PYTHONPATH"] = before


@pytest.fixture(scope="module")
def patients(tmp_path_factory):
    folder = tmp_path_factory.mktemp("patients")
    api.phantom(folder, phantom_settings(n_patients=4, spacing_mm=4.0, seed=5))
    return folder / "manifest.csv"


def done(names, **options):
    found = dict(on_ray(names, jobs.work, start=jobs.pid, workers=ON_RAY, **options))
    return [found[number] for number in range(len(names))]


def test_whatever_a_job_does_the_others_are_done(ray_address, tmp_path):
    del ray_address
    counts = tmp_path / "counts"
    counts.mkdir()
    names = [
        ("echo", "first"),
        ("counted", str(counts)),
        ("host-killed-once", str(tmp_path / "mark")),
        "told",
        "memory",
        ("echo", "last"),
    ]
    first, dead, moved, told, large, last = done(names, seconds=300.0, gib=0.3)
    assert (first.result, last.result, moved.result) == ("first", "last", "elsewhere")
    assert told.reason == "a.nii: holds no brain. Look."
    assert large.failure == "memory"
    # Tried again so often and no oftener, and then named.
    assert len(list(counts.iterdir())) == MOST_RETRIES + 1
    assert dead.reason.startswith(f"its worker process died {MOST_RETRIES + 1} times (its process")


def test_a_job_that_hangs_is_stopped_and_named(ray_address):
    del ray_address
    hung, last = done(["hang", ("echo", "last")], seconds=2.0)
    assert (hung.reason, hung.failure) == ("it took longer than 2 s and was stopped", "time")
    assert last.result == "last"


def test_what_cannot_start_is_told_in_its_own_words(ray_address):
    del ray_address
    with pytest.raises(InputError, match=r"^model: the network is damaged\. Copy it again\.$"):
        list(on_ray(["state"], jobs.work, start=jobs.broken, workers=ON_RAY))
    with pytest.raises(WorkerError, match="cannot start: its process was killed"):
        list(on_ray(["state"], jobs.work, start=jobs.dead, workers=ON_RAY))
    with pytest.raises(ConfigError, match="asks for 1000 CPUs and the largest machine has 2"):
        list(on_ray(["state"], jobs.work, start=jobs.pid, workers=RayWorkers(cpus=1000)))


def test_storage_that_a_worker_does_not_see_is_one_line(ray_address, tmp_path):
    del ray_address
    with shared_folder(tmp_path) as shared:
        shared.require()
        # The path is there on the worker's node, and another folder.
        shared.token.write_text("of another machine")
        with pytest.raises(ConfigError, match=r"is not seen by the Ray worker on .* all nodes see"):
            done(["state"], shared=shared)
    assert not list(tmp_path.iterdir())
    with (
        shared_folder(tmp_path, inputs=[tmp_path / "none"]) as shared,
        pytest.raises(ConfigError, match=r"none: is not seen by the Ray worker"),
    ):
        done(["state"], shared=shared)


def _config():
    return api.configure("small", settings=SETTINGS)


def same(one, other):
    """Equal but for how long things took."""
    files = [sorted(p.relative_to(f) for p in f.rglob("*") if p.is_file()) for f in (one, other)]
    assert files[0] == files[1]
    for name in files[0]:
        a, b = (one / name).read_bytes(), (other / name).read_bytes()
        if name.suffix == ".json":
            assert _timeless(json.loads(a)) == _timeless(json.loads(b)), name
        elif name.suffix not in {".html", ".png"}:  # They say how long it took, too.
            assert a == b, name


def _timeless(found):
    if isinstance(found, dict):
        return {key: _timeless(value) for key, value in found.items() if key not in TIMES}
    return [_timeless(one) for one in found] if isinstance(found, list) else found


@pytest.fixture(scope="module")
def store_here(patients, tmp_path_factory):
    store = tmp_path_factory.mktemp("here") / "store"
    api.preprocess(patients, store, _config(), workers=0)
    return store


@pytest.fixture(scope="module")
def store_on_ray(ray_address, patients, tmp_path_factory):
    """Its first driver was killed, with no chance to tidy up, when a case was there."""
    store = tmp_path_factory.mktemp("ray") / "store"
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    command = [sys.executable, "-m", "plgg", "preprocess", patients, store, *settings]
    command += ["--workers", "ray", "--ray-address", ray_address]
    driver = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not (kept := finished(store)) and driver.poll() is None:
        time.sleep(0.01)
    driver.kill()
    err = driver.communicate()[1]
    assert driver.returncode == -signal.SIGKILL, err
    api.preprocess(patients, store, _config(), workers=RayWorkers(most=1))
    assert kept
    assert {name: finished(store)[name] for name in kept} == kept
    return store


def finished(store):
    """When each case that is there was written."""
    return {path.parent.name: path.stat().st_mtime_ns for path in store.glob("cases/[!.]*/c*.json")}


def test_a_store_of_a_killed_driver_is_the_one_that_is_made_here(store_here, store_on_ray):
    same(store_here, store_on_ray)
    assert not list(store_on_ray.rglob(".plgg-new-*"))


def test_predictions_and_scores_are_those_that_are_made_here(ray_address, patients, tmp_path):
    del ray_address
    run = make_run(tmp_path / "run", *SETTINGS, classes=CLASSES)
    options = PredictOptions(pages=False)
    for name, workers in (("here", 1), ("ray", RayWorkers(most=1))):
        out = tmp_path / name
        found = api.predict([patients], model=run, out=out, options=options, workers=workers)
        assert [outcome.reason for outcome in found] == [None] * 4
        evaluation = api.evaluate(out, patients, workers=workers)
        assert len(evaluation.rows) == 4
    same(tmp_path / "here", tmp_path / "ray")


def test_ray_that_is_not_there_is_one_line_and_nothing_is_written(patients, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    store = tmp_path / "store"
    with pytest.raises(ConfigError, match=r'Ray is not installed\. pip install "plgg\[ray\]"'):
        api.preprocess(patients, store, _config(), workers=ON_RAY)
    assert not store.exists()


def refusing(ray, monkeypatch, error):
    """A Ray that raises an error instead of letting this program in."""

    def refuse(**_):
        raise error

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", refuse)
    monkeypatch.setattr(ray, "shutdown", lambda: None)


def test_an_address_where_nothing_answers_is_one_line(monkeypatch):
    ray = pytest.importorskip("ray", reason="Ray is an extra")
    refusing(ray, monkeypatch, ConnectionError("nobody there"))
    with (
        pytest.raises(ConfigError, match=r"^head:1: Ray does not answer \(nobody there\)"),
        ray_session("head:1"),
    ):
        pass


def test_a_token_that_is_wrong_is_one_line(monkeypatch):
    ray = pytest.importorskip("ray", reason="Ray is an extra")
    refusing(ray, monkeypatch, ray.exceptions.AuthenticationError("token"))
    with (
        pytest.raises(ConfigError, match=r"^head:1: Ray does not let this program in .*auth_token"),
        ray_session("head:1"),
    ):
        pass


def test_who_does_the_work_is_as_typed():
    assert workers_of("3", None) == 3
    assert workers_of("ray", "auto") == RayWorkers("auto")
    for words, address, said in (
        ("rya", None, r"no workers are called 'rya'\. Give --workers a number .* or ray"),
        ("0", None, "no workers are called '0'"),
        ("\u0663", None, "no workers are called"),
        ("2", "auto", "--ray-address is Ray's. Add --workers ray"),
    ):
        with pytest.raises(ConfigError, match=said):
            workers_of(words, address)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_command_leaves_no_process_of_ray(patients, tmp_path, number, status):
    pytest.importorskip("ray", reason="Ray is an extra")
    store = tmp_path / "store"
    command = [sys.executable, "-m", "plgg", "preprocess", patients, store, "--workers", "ray"]
    driver = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not finished(store) and driver.poll() is None:
        time.sleep(0.05)
    family = psutil.Process(driver.pid).children(recursive=True)
    driver.send_signal(number)
    err = driver.communicate(timeout=500)[1]
    assert driver.returncode == status
    assert err.splitlines()[-1] == "plgg: stopped; repeat the command to go on from here"
    assert not psutil.wait_procs(family, timeout=500)[1]
