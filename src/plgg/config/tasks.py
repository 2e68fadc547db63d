"""Settings of the tasks that a network learns: their kinds, columns and weights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from plgg.config.base import NonNegative, Settings, Text
from plgg.config.labels import Labels, require_label_rules

SEGMENTATION, MARKER = "segmentation", "marker"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,47}")
# Names of other outputs, losses, table columns and layers.
_TAKEN = frozenset(("loss", "image", "patient", "features", "deep", "cosine", "tumour", "tasks"))
_TAKEN_PREFIXES = ("p_", "clinical_", "deep_", "cosine_")
_TABLE_PREFIXES = ("network_", "radiomics_", "metric_")
MAX_TASKS = 16


class TaskConfig(Settings):
    """One task: what is learned, from which column of the manifest, with which weight.

    >>> TaskConfig.model_validate("regression").kind
    'regression'
    """

    kind: Annotated[
        Text,
        Field(description="segmentation, classification, regression, or one that is registered"),
    ]
    column: Annotated[
        Text | None,
        Field(description="Column of the manifest that holds the target; null is the task's name"),
    ] = None
    weight: Annotated[
        NonNegative | None,
        Field(
            description="Factor on the task's loss; null is 1 for the segmentation and "
            "loss.marker_weight for all others"
        ),
    ] = None
    labels: Annotated[
        Labels,
        Field(
            description="Of the segmentation: regions of the mask by name, {tumour: [1, 2, 3], "
            "cyst: [3]}, the whole tumour first; none is one region, of all values above 0"
        ),
    ] = ()

    @model_validator(mode="before")
    @classmethod
    def _kind_alone(cls, given: Any) -> Any:  # noqa: ANN401 - what a user writes is anything
        return {"kind": given} if isinstance(given, str) else given


def _checked(given: Any) -> Any:  # noqa: ANN401
    if not isinstance(given, Mapping):
        raise ValueError("tasks are written {name: kind, name: kind}")
    for name in given:
        checked_name(str(name))
    if len(given) > MAX_TASKS:
        raise ValueError(f"more than {MAX_TASKS} tasks")
    return given


def checked_name(name: str) -> str:
    """Return a name if it is valid for a task.

    Raises:
        ValueError: If it is invalid or reserved.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"a task may not be called {name[:40]!a}: use small letters, digits and '_'"
        )
    if name in _TAKEN or name.startswith(_TAKEN_PREFIXES):
        raise ValueError(f"a task may not be called {name!r}: the name has a meaning of its own")
    return name


Tasks = Annotated[dict[str, TaskConfig], BeforeValidator(_checked)]


def default_tasks() -> dict[str, TaskConfig]:
    """The tasks of the published method: segmentation and marker."""
    return {
        SEGMENTATION: TaskConfig(kind="segmentation"),
        MARKER: TaskConfig(kind="classification"),
    }


def require_task_rules(tasks: Mapping[str, TaskConfig]) -> None:
    """Check that tasks have one segmentation, valid labels and a valid marker.

    Raises:
        ValueError: If the segmentation is missing, or a task that has a fixed kind has another.
    """
    outlines = [name for name, task in tasks.items() if task.kind == "segmentation"]
    if outlines != [SEGMENTATION]:
        raise ValueError("tasks needs exactly one segmentation, called segmentation")
    if next(iter(tasks)) != SEGMENTATION:
        raise ValueError("tasks must begin with segmentation")
    if any(task.labels for name, task in tasks.items() if name != SEGMENTATION):
        raise ValueError("labels are of the task segmentation alone")
    require_label_rules(tasks[SEGMENTATION].labels)
    for label in tasks[SEGMENTATION].labels[1:]:
        # Tables have columns for regions beside those for tasks.
        if label.name in tasks or label.name.startswith(_TABLE_PREFIXES):
            raise ValueError(
                f"a label may not be called {label.name!r}: it has a meaning of its own"
            )
        checked_name(label.name)
    marker = tasks.get(MARKER)
    if marker and (marker.kind != "classification" or marker.column not in {None, MARKER}):
        raise ValueError("the task marker is the classification of the column marker")
