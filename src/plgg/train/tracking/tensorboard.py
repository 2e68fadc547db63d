"""Curves in `RUN/tensorboard/`, for `tensorboard --logdir`.

Each process writes a new file with all epochs so far, which replaces the earlier file. So after a
crash, too, the curves are those of `metrics.jsonl`, in the single precision of the format.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from plgg.core.errors import ConfigError
from plgg.core.files import make_folder
from plgg.data.run_folder import Record
from plgg.train.tracking.base import Ended, TrackedRun, end_times, scalars

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FOLDER = "tensorboard"
_SUFFIX = ".plgg"


def require_tensorboard() -> None:
    """Check that the package for TensorBoard's format is installed.

    Raises:
        ConfigError: If it is not installed.
    """
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            "the package tensorboard is not installed", remedy='pip install "plgg[tensorboard]".'
        ) from error


class TensorBoard:
    """Tracker that writes an event file, and starts a new one after an error.

    Args:
        tracked: The run.
    """

    def __init__(self, tracked: TrackedRun) -> None:
        self.folder = tracked.run / FOLDER
        self.last_epoch = 0
        self._writer: SummaryWriter | None = None

    def log(self, records: Sequence[Record]) -> None:
        """Add the epochs that the file does not have."""
        if not records or records[-1]["epoch"] <= self.last_epoch:
            return
        try:
            self._writer = self._writer or _new_writer(self.folder)
            for record, ended in zip(records, end_times(records, time.time()), strict=True):
                if record["epoch"] > self.last_epoch:
                    for name, value in scalars(record).items():
                        self._writer.add_scalar(name, value, record["epoch"], ended)
            self._writer.flush()
        except OSError:
            # An event that was written in part would hide those after it.
            self.last_epoch, self._writer = 0, None
            raise
        self.last_epoch = records[-1]["epoch"]

    def close(self, ended: Ended) -> None:  # noqa: ARG002 - its format knows no end
        """Close the file."""
        if self._writer is not None:
            self._writer.close()


def _new_writer(folder: Path) -> SummaryWriter:
    """Start a new file and delete the earlier ones."""
    from torch.utils.tensorboard import SummaryWriter

    old = list(make_folder(folder).glob(f"events.out.tfevents.*{_SUFFIX}"))
    # Makes an open TensorBoard drop the events that it holds, from the first step on.
    writer = SummaryWriter(str(folder), purge_step=1, filename_suffix=_SUFFIX)
    for path in old:
        path.unlink()
    return writer
