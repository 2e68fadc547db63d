"""Which trackers a user asks for; what they need is looked for before anything is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from plgg.errors import ConfigError
from plgg.track.mlflow import Mlflow, mlflow_uri, require_mlflow
from plgg.track.tensorboard import TensorBoard, require_tensorboard
from plgg.track.tracker import Followed, Tracker

TRACKERS: dict[str, tuple[Callable[[], None], Callable[[Followed], Tracker]]] = {
    "tensorboard": (require_tensorboard, TensorBoard),
    "mlflow": (require_mlflow, Mlflow),
}


@dataclass(frozen=True)
class Tracking:
    """Trackers that were chosen; it crosses to other processes.

    Attributes:
        names: Among `TRACKERS`.
        group: Name of the experiment that the runs belong to; empty without one.
        mlflow_uri: Where MLflow keeps its runs. May hold a password: not to be written anywhere.
    """

    names: tuple[str, ...] = ()
    group: str = ""
    mlflow_uri: str = ""


def choose_trackers(wanted: Sequence[str], *, group: str = "") -> Tracking:
    """The trackers that are named, each name alone or several joined by commas.

    Raises:
        ConfigError: If there is no such tracker, or its package is not installed.
    """
    parts = (part.strip() for text in wanted for part in text.split(","))
    names = tuple(dict.fromkeys(part for part in parts if part))
    for name in names:
        if name not in TRACKERS:
            raise ConfigError(
                f"no tracker is called {name!r}", remedy=f"Choose of {', '.join(TRACKERS)}."
            )
        require, _ = TRACKERS[name]
        require()
    return Tracking(names, group, mlflow_uri() if "mlflow" in names else "")
