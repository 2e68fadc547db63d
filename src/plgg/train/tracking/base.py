"""`Tracker`, and the data that it gets: metrics, settings and tags, never data of patients."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Literal, Protocol

from plgg import __version__
from plgg.data.run_folder import Record, read_config, read_environment, split_number

Ended = Literal["FINISHED", "FAILED", "KILLED"]
"""How a run ended: regularly, by an error, or by the user."""


@dataclass(frozen=True)
class TrackedRun:
    """A run that is tracked.

    Attributes:
        run: Its folder.
        name: Name to show.
        arm: Its arm in the experiment.
        group: Name of the experiment; empty without one.
        mlflow_uri: Where MLflow keeps its runs.
    """

    run: Path
    name: str
    arm: str
    group: str = ""
    mlflow_uri: str = ""


class Tracker(Protocol):
    """Interface of a tracker. It may raise any error; `follow` protects the training from it."""

    def log(self, records: Sequence[Record]) -> None:
        """Add the epochs, lines of `metrics.jsonl`, that the tracker does not have yet."""

    def close(self, ended: Ended) -> None:
        """End the run in the tracker."""


# Longest value of a parameter: servers since MLflow 1.28 take at least as much.
_LONGEST = 500


def parameters(tracked: TrackedRun) -> dict[str, str]:
    """The run's settings by their dotted keys, as `--set` takes them; long ones are cut."""
    settings = _flat(read_config(tracked.run).model_dump(mode="json"), ".")
    return {key: _text(value)[:_LONGEST] for key, value in settings.items()}


def _text(value: object) -> str:
    return last_part(value) if isinstance(value, str) else json.dumps(value)


def last_part(path: str) -> str:
    """The last part of a path, because folders may be named after people; a name as it is."""
    return PureWindowsPath(PurePosixPath(path).name).name or path


def tags(tracked: TrackedRun) -> dict[str, str]:
    """Split, arm, store, experiment and version; unknown ones are left out."""
    store = read_environment(tracked.run).get("store")
    split = split_number(tracked.run)
    found = {
        "split": "" if split is None else str(split),
        "arm": tracked.arm,
        "store": last_part(store) if isinstance(store, str) else "",
        "experiment": tracked.group,
        "plgg": __version__,
    }
    return {key: value for key, value in found.items() if value}


def scalars(record: Record) -> dict[str, float]:
    """The numbers of one epoch, named by their path, such as `validation/dice`.

    Null values were not measured and are left out; true and false are 1 and 0.
    """
    found = _flat({key: value for key, value in record.items() if key != "epoch"}, "/")
    return {name: float(value) for name, value in found.items() if isinstance(value, int | float)}


def _flat(values: Mapping[str, Any], joint: str) -> dict[str, Any]:
    """Flatten nested values; their keys are joined by `joint`."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= {f"{key}{joint}{name}": one for name, one in _flat(value, joint).items()}
        else:
            found[key] = value
    return found


def end_times(records: Sequence[Record], now: float) -> list[float]:
    """Estimated end of each epoch, in seconds as `time.time()`, if they had run without a pause.

    The last one ended now. Records hold only how long each epoch took.
    """
    after = [float(record.get("seconds", 0.0)) for record in records[:0:-1]]
    return [now - later for later in accumulate(after, initial=0.0)][: len(records)][::-1]
