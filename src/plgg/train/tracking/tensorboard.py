"""Curves in `RUN/tensorboard/`, for `tensorboard --logdir`.

Each process writes a file of its own that begins with all epochs so far and replaces the file
before it: whatever a kill left there, the curves are those of `metrics.jsonl`, in the single
precision of the format.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plgg.core.errors import ConfigError
from plgg.core.files import make_folder
from plgg.data.run_folder import Record
from plgg.train.tracking.base import Ended, Followed, moments, scalars

FOLDER = "tensorboard"
# What TensorBoard takes for a file of events; it reads them in the order of their names.
_FILES = "events.out.tfevents."


def require_tensorboard() -> None:
    """Check that TensorBoard's format can be written here.

    Raises:
        ConfigError: If it is not installed.
    """
    try:
        import tensorboard.compat.proto.event_pb2
        import tensorboard.summary.writer.record_writer  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            "the package tensorboard is not installed", remedy='pip install "plgg[tensorboard]".'
        ) from error


class TensorBoard:
    """A file of events; begun anew after an error.

    Args:
        followed: The run.
    """

    def __init__(self, followed: Followed) -> None:
        self.folder = followed.run / FOLDER
        self.told = 0
        self._writer: Any = None

    def bring(self, records: Sequence[Record]) -> None:
        """Add the epochs that the file does not have."""
        new = [record["epoch"] > self.told for record in records]
        if not any(new):
            return
        try:
            self._writer = self._writer or _begun(self.folder)
            for record, moment, is_new in zip(
                records, moments(records, time.time()), new, strict=True
            ):
                if is_new:
                    self._writer.write(_event(record, moment))
            self._writer.flush()
        except OSError:
            # Half an event would hide those after it.
            self.told, self._writer = 0, None
            raise
        self.told = records[-1]["epoch"]

    def close(self, ended: Ended) -> None:  # noqa: ARG002 - its format knows no end
        """Close the file."""
        if self._writer is not None:
            self._writer.close()


def _begun(folder: Path) -> Any:  # noqa: ANN401 - without types
    """A new file in place of those that are there."""
    from tensorboard.compat.proto.event_pb2 import Event, SessionLog
    from tensorboard.summary.writer.record_writer import RecordWriter

    old = list(make_folder(folder).glob(f"{_FILES}*.plgg"))
    # In nanoseconds of one length: a later file has a later name.
    writer = RecordWriter((folder / f"{_FILES}{time.time_ns():020d}.plgg").open("xb"))
    now = time.time()
    writer.write(Event(wall_time=now, file_version="brain.Event:2").SerializeToString())
    # A TensorBoard that is open drops what it holds of these steps.
    start = SessionLog(status=SessionLog.START)
    writer.write(Event(wall_time=now, step=1, session_log=start).SerializeToString())
    for path in old:
        path.unlink()
    return writer


def _event(record: Record, moment: float) -> bytes:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

    values = [Summary.Value(tag=tag, simple_value=x) for tag, x in scalars(record).items()]
    event = Event(wall_time=moment, step=record["epoch"], summary=Summary(value=values))
    found: bytes = event.SerializeToString()
    return found
