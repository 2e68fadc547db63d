"""Curves and settings in MLflow, in the experiment `plgg`.

The run's id is kept in `RUN/mlflow.json`, so that a resumed run goes on in the same one. MLflow
cannot delete a value, so its values are read first, and only missing ones are sent.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from plgg.core.errors import ConfigError
from plgg.core.files import write_json
from plgg.core.records import JsonError, read_json
from plgg.data.run_folder import Record
from plgg.train.tracking.base import Ended, TrackedRun, end_times, parameters, scalars, tags

EXPERIMENT = "plgg"
_FILE = "mlflow.json"
# Limits of one request.
_METRICS, _PARAMETERS = 1000, 100
# Variables that MLflow reads at its import or at a request; those that the user has set are kept.
_DEFAULTS = {
    # A server that is gone is tried again later; training does not wait for minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
}


def mlflow_uri() -> str:
    """MLFLOW_TRACKING_URI, or the file `mlflow.db` in the working folder."""
    # MLflow's own default may be a folder mlruns, which it refuses to write since its version 3.
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path.cwd() / 'mlflow.db'}"


def require_mlflow() -> None:
    """Check that MLflow and the packages of its local database are installed; no telemetry.

    Raises:
        ConfigError: If one of them is not installed.
    """
    _silence()
    try:
        import alembic  # noqa: F401
        import mlflow.tracking  # noqa: F401
        import sqlalchemy  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"the package {error.name or 'mlflow'} is not installed",
            remedy='pip install "plgg[mlflow]".',
        ) from error


def _silence() -> None:
    # MLflow sends usage data over the network by default.
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)


class Mlflow:
    """Tracker for MLflow; it connects when there is something to log.

    Args:
        tracked: The run.
    """

    def __init__(self, tracked: TrackedRun) -> None:
        _silence()
        self.tracked = tracked
        self._client: Any = None
        self._id = ""
        self._known: dict[str, set[int]] = {}

    def log(self, records: Sequence[Record]) -> None:
        """Send the values that MLflow does not have."""
        if not records:
            return
        if not self._id:
            self._connect(records[-1]["epoch"])
        run, missing = self._id, self._missing(records)
        # After an error it is unknown what arrived, so the next call connects and reads again.
        self._id = ""
        while batch := list(islice(missing, _METRICS)):
            self._client.log_batch(run, metrics=batch)
            for metric in batch:
                self._known.setdefault(metric.key, set()).add(metric.step)
        self._id = run

    def close(self, ended: Ended) -> None:
        """Set how the run ended."""
        if self._id:
            self._client.set_terminated(self._id, ended)

    def _missing(self, records: Sequence[Record]) -> Iterator[Any]:
        from mlflow.entities import Metric

        for record, ended in zip(records, end_times(records, time.time()), strict=True):
            for key, value in scalars(record).items():
                if record["epoch"] not in self._known.get(key, ()):
                    yield Metric(key, value, int(1000 * ended), record["epoch"])

    def _connect(self, epoch: int) -> None:
        from mlflow.tracking import MlflowClient

        self._client = MlflowClient(tracking_uri=self.tracked.mlflow_uri)
        run = self._resumed(epoch) or self._created()
        self._client.update_run(run.info.run_id, status="RUNNING")
        self._log_parameters(run)
        self._id = run.info.run_id

    def _resumed(self, epoch: int) -> Any:  # noqa: ANN401 - MLflow is optional
        """The earlier MLflow run, if it exists and is not ahead of this one."""
        from mlflow.exceptions import MlflowException

        known = _known_id(self.tracked.run)
        if known is None:
            return None
        try:
            run = self._client.get_run(known)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None
        self._known = {
            key: {metric.step for metric in self._client.get_metric_history(run.info.run_id, key)}
            for key in run.data.metrics
        }
        # A training that was started again has other values for the same epochs.
        ahead = any(max(steps) > epoch for steps in self._known.values())
        if ahead or run.info.lifecycle_stage == "deleted":
            self._known = {}
            return None
        return run

    def _created(self) -> Any:  # noqa: ANN401
        run = self._client.create_run(
            _experiment(self._client), tags=tags(self.tracked), run_name=self.tracked.name
        )
        write_json(self.tracked.run / _FILE, {"run_id": run.info.run_id})
        return run

    def _log_parameters(self, run: Any) -> None:  # noqa: ANN401
        from mlflow.entities import Param

        known = run.data.params
        missing = (Param(k, v) for k, v in parameters(self.tracked).items() if k not in known)
        while batch := list(islice(missing, _PARAMETERS)):
            self._client.log_batch(run.info.run_id, params=batch)


def _known_id(run: Path) -> str | None:
    """Id of the earlier MLflow run of this run; None where there is none."""
    try:
        found = read_json(run / _FILE)
    except JsonError:
        return None
    known = found.get("run_id") if isinstance(found, dict) else None
    return known if isinstance(known, str) else None


def _experiment(client: Any) -> str:  # noqa: ANN401
    """Id of the experiment, which is made if it does not exist."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(EXPERIMENT)
    if found is None:
        try:
            return str(client.create_experiment(EXPERIMENT))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            # Another run has made it meanwhile.
            found = client.get_experiment_by_name(EXPERIMENT)
    return str(found.experiment_id)
