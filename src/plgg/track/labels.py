"""What is told of a run beside its curves: settings and a few labels. Nothing of its patients."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from plgg import __version__
from plgg.io.run import read_config, read_environment, split_number
from plgg.track.tracker import Followed

# Servers since MLflow 1.28 take at least as much.
_LONGEST = 500


def parameters(followed: Followed) -> dict[str, str]:
    """The run's settings by their dotted keys, as `--set` takes them; long ones are cut."""
    found = _flat(read_config(followed.run).model_dump(mode="json"), "")
    return {key: _text(value)[:_LONGEST] for key, value in found.items()}


def _flat(values: Mapping[str, Any], before: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{before}{key}"
        found |= _flat(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return found


def _text(value: object) -> str:
    return last_part(value) if isinstance(value, str) else json.dumps(value)


def last_part(path: str) -> str:
    """A name as it is, and of a path no more than its end: folders may carry names of people."""
    return PureWindowsPath(PurePosixPath(path).name).name or path


def tags(followed: Followed) -> dict[str, str]:
    """Split, arm, store, experiment and version; what is not known is left out."""
    store = read_environment(followed.run).get("store")
    split = split_number(followed.run)
    found = {
        "split": "" if split is None else str(split),
        "arm": followed.arm,
        "store": last_part(store) if isinstance(store, str) else "",
        "experiment": followed.group,
        "plgg": __version__,
    }
    return {key: value for key, value in found.items() if value}
