"""TensorBoard: `RUN/tensorboard`, to be looked at with `tensorboard --logdir RUN`.

Written anew when a run is taken up again, so that no epoch is there twice.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

from plgg.errors import ConfigError
from plgg.io.run import read_metrics
from plgg.track.tracker import Record, scalars

FOLDER = "tensorboard"


def require() -> None:
    """Check that it is installed.

    Raises:
        ConfigError: If it is not.
    """
    _parts()


def _parts() -> tuple[Any, Any, Any]:
    try:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.event_file_writer import EventFileWriter
    except ImportError as error:
        raise ConfigError(
            "TensorBoard is not installed", remedy='pip install "plgg[tensorboard]"'
        ) from error
    return Event, Summary, EventFileWriter


class TensorBoard:
    """Event files of one run."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self._event, self._summary, writer = _parts()
        shutil.rmtree(run / FOLDER, ignore_errors=True)
        self._writer = writer(str(run / FOLDER))
        self._shown = 0

    def level(self) -> None:
        """Write the epochs that are new."""
        for record in read_metrics(self.run):
            if record["epoch"] > self._shown:
                self._write(record)
                self._shown = record["epoch"]
        self._writer.flush()

    def close(self, *, finished: bool) -> None:  # noqa: ARG002 - event files know no end
        """Close the event file."""
        self._writer.close()

    def _write(self, record: Record) -> None:
        values = [
            self._summary.Value(tag=name, simple_value=value) for name, value in scalars(record)
        ]
        self._writer.add_event(
            self._event(
                wall_time=time.time(),
                step=record["epoch"],
                summary=self._summary(value=values),
            )
        )
