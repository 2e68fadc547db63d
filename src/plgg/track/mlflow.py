"""MLflow: one of its runs for one of ours, named in `RUN/mlflow.json`.

It goes to `MLFLOW_TRACKING_URI`, by default to `mlflow.db` in the folder that plgg was started in:
look at it with `mlflow ui` there. Settings and numbers are sent, and no patient: neither cases nor
splits' lists. MLflow's own telemetry is off.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from plgg.errors import ConfigError
from plgg.io.environment import versions
from plgg.io.files import read_json, write_json
from plgg.io.run import read_config, read_metrics, split_number
from plgg.track.tracker import scalars

FILE = "mlflow.json"
EXPERIMENT = "plgg"
_LONGEST_PARAMETER = 500
_MOST_METRICS = 1000
# Every epoch has it, so it tells which epochs are there.
_ALWAYS = "train/loss"


def require() -> None:
    """Check that it is installed.

    Raises:
        ConfigError: If it is not.
    """
    _client_class()
    if address().startswith("sqlite:"):
        _require_database()


def _client_class() -> Any:  # noqa: ANN401 - MLflow is optional
    # Before the import, which reads them.
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    # A training must not wait long for a server that is gone.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    try:
        from mlflow.tracking import MlflowClient
    except ImportError as error:
        raise ConfigError("MLflow is not installed", remedy='pip install "plgg[mlflow]"') from error
    return MlflowClient


def _require_database() -> None:
    try:
        import alembic  # noqa: F401
        import sqlalchemy  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            "MLflow needs SQLAlchemy and alembic to write to a file",
            remedy='pip install "plgg[mlflow]", or set MLFLOW_TRACKING_URI to a server.',
        ) from error


def address() -> str:
    """Where MLflow keeps its records."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path.cwd() / 'mlflow.db'}"


class MLflow:
    """One run in MLflow, taken up again if it is there."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self._uri = address()
        self._client = _client_class()(tracking_uri=self._uri)
        self._id = self._known() or self._new()
        known = self._client.get_metric_history(self._id, _ALWAYS)
        self._shown = {metric.step for metric in known}

    def level(self) -> None:
        """Send the epochs that are new."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        new = [r for r in read_metrics(self.run) if r["epoch"] not in self._shown]
        metrics = [
            Metric(name, value, now, record["epoch"])
            for record in new
            for name, value in scalars(record)
        ]
        for first in range(0, len(metrics), _MOST_METRICS):
            self._client.log_batch(self._id, metrics=metrics[first : first + _MOST_METRICS])
        self._shown |= {record["epoch"] for record in new}

    def close(self, *, finished: bool) -> None:
        """Tell whether the run came to its end."""
        self._client.set_terminated(self._id, "FINISHED" if finished else "FAILED")

    def _known(self) -> str | None:
        """The run that was begun before, if it is at this address."""
        try:
            record = read_json(self.run / FILE)
        except (OSError, ValueError):
            return None
        if record.get("uri") != self._uri:
            return None
        identity = str(record["run_id"])
        self._client.update_run(identity, status="RUNNING")
        return identity

    def _new(self) -> str:
        from mlflow.entities import Param

        config = read_config(self.run)
        tags = {"arm": config.arm, "preset": config.preset, "plgg": versions()["plgg"]}
        split = split_number(self.run)
        if split is not None:
            tags["split"] = str(split)
        name = f"{self.run.parent.name}/{self.run.name}"
        made = self._client.create_run(self._experiment(), run_name=name, tags=tags)
        identity = str(made.info.run_id)
        settings = _flat(config.model_dump(mode="json"))
        self._client.log_batch(identity, params=[Param(key, value) for key, value in settings])
        write_json(self.run / FILE, {"uri": self._uri, "run_id": identity})
        return identity

    def _experiment(self) -> str:
        known = self._client.get_experiment_by_name(EXPERIMENT)
        return str(known.experiment_id if known else self._client.create_experiment(EXPERIMENT))


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(value)[:_LONGEST_PARAMETER]
