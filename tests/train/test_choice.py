"""Trackers are chosen by name; what they need is there, and silent, before anything is made."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from plgg import api
from plgg.core.errors import ConfigError
from plgg.experiment.options import Design
from plgg.train.tracking.follow import Tracking, choose_trackers
from tiny import SMALL_SHAPE, tiny_config, tiny_store


@pytest.mark.parametrize(
    ("name", "module", "extra"),
    [
        ("tensorboard", "torch.utils.tensorboard", "plgg[tensorboard]"),
        ("mlflow", "mlflow.tracking", "plgg[mlflow]"),
        ("mlflow", "sqlalchemy", "plgg[mlflow]"),
    ],
)
def test_a_missing_package_is_told_before_a_folder_is_made(
    tmp_path, monkeypatch, name, module, extra
):
    tiny_store(tmp_path / "store", n=3, shape=SMALL_SHAPE)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match="is not installed") as caught:
        api.train(tmp_path / "store", tmp_path / "run", tiny_config(), track=[name])
    assert f'pip install "{extra}"' in str(caught.value)
    with pytest.raises(ConfigError, match="is not installed"):
        api.experiment(
            tmp_path / "store", tmp_path / "results", tiny_config(), design=Design(track=(name,))
        )
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_trackers_are_chosen_by_repetition_or_commas(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:5000")
    chosen = choose_trackers(["tensorboard, mlflow", "mlflow"], group="results")
    assert chosen == Tracking(("tensorboard", "mlflow"), "results", "http://localhost:5000")
    assert choose_trackers([]) == Tracking()
    with pytest.raises(ConfigError, match=r"wandb.*tensorboard, mlflow"):
        choose_trackers(["wandb"])


def test_without_a_server_mlflow_keeps_a_file_where_the_command_is_typed(monkeypatch, tmp_path):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    assert choose_trackers(["mlflow"]).mlflow_uri == f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert not list(tmp_path.iterdir())


SILENT = """
from plgg.train.tracking.follow import choose_trackers
choose_trackers(["mlflow"])
from mlflow.telemetry import get_telemetry_client
assert get_telemetry_client() is None
"""


def test_mlflow_reports_nothing_of_its_use():
    hushed = {"PYTEST_CURRENT_TEST", "CI", "GITHUB_ACTIONS"}
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in hushed and not name.startswith("MLFLOW_")
    }
    environment["PYTHONPATH"] = str(Path(api.__file__).parents[1])
    subprocess.run([sys.executable, "-c", SILENT], env=environment, check=True, timeout=590)
