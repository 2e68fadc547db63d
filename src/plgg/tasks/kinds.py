"""Registry of the kinds of auxiliary tasks; builds tasks from settings or from a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import nn

from plgg.config import MARKER, Config, LossConfig, TaskConfig
from plgg.core.errors import ConfigError
from plgg.core.registry import Registry
from plgg.data.manifest import TARGET_COLUMNS, target_text
from plgg.data.store import Store
from plgg.tasks.base import AuxiliaryTask, Column, TaskRecord
from plgg.tasks.classification import Classification
from plgg.tasks.mask_task import MaskTask
from plgg.tasks.regression import Regression
from plgg.tasks.signed_distance import SignedDistance
from plgg.tasks.tumour_slice import TumourSlice

KINDS: Registry[type[AuxiliaryTask]] = Registry(
    "kind of task",
    "plgg.tasks",
    {
        "classification": Classification,
        "regression": Regression,
        "signed_distance": SignedDistance,
        "tumour_slice": TumourSlice,
    },
    fits=lambda kind: isinstance(kind, type) and issubclass(kind, AuxiliaryTask),
    reserved=("segmentation",),
)


def register_kind(name: str, kind: type[AuxiliaryTask]) -> None:
    """Register a kind of task under a name that the setting `tasks` may use.

    Packages do the same without a call, by an entry point of the group `plgg.tasks`:

        [project.entry-points."plgg.tasks"]
        ordinal = "my_package:Ordinal"

    Raises:
        ConfigError: If the name is taken by another.
    """
    KINDS.add(name, kind)


def find_kind(name: str) -> type[AuxiliaryTask]:
    """The kind of that name, of plgg or of an installed package.

    Raises:
        ConfigError: If there is none, or its package cannot be loaded.
    """
    return KINDS.find(name)


def fit_tasks(config: Config, store: Store, train: Sequence[str]) -> dict[str, AuxiliaryTask]:
    """Make the auxiliary tasks of a config and fit them to the training part.

    Raises:
        ConfigError: If a kind is unknown, or a column has nothing to learn from.
    """
    require_columns(config, store)
    found: dict[str, AuxiliaryTask] = {}
    for name, task in config.auxiliary.items():
        kind, column = find_kind(task.kind), task.column or name
        targets = (
            Column((), ()) if issubclass(kind, MaskTask) else _column(store, train, column, name)
        )
        found[name] = kind.fit(name, column, targets, config.loss)
    return found


def require_columns(config: Config, store: Store) -> None:
    """Check that the kinds of an arm's tasks are known and that the store has their columns.

    Raises:
        ConfigError: If not.
    """
    for name, task in config.auxiliary.items():
        kind = find_kind(task.kind)
        if hasattr(nn.ModuleDict(), name):
            raise ConfigError(f"a task may not be called {name!r}", remedy="Choose another name.")
        if issubclass(kind, MaskTask):
            _require_no_column(name, task)
            continue
        column = task.column or name
        known = any(target_text(case, column) is not None for case in store.by_id.values())
        if name != MARKER and not known:
            raise ConfigError(
                f"no case has the column {column!r} that the task {name} learns from; there are: "
                f"{', '.join(_columns(store)) or 'none'}",
                where=store.folder,
                remedy="Fill it in the manifest and preprocess again: what is done is kept.",
            )


def _require_no_column(name: str, task: TaskConfig) -> None:
    if task.column is not None:
        raise ConfigError(
            f"the task {name} names the column {task.column!r}, and {task.kind} learns from masks",
            remedy="Leave the column out.",
        )


def _column(store: Store, train: Sequence[str], column: str, name: str) -> Column:
    texts = {case_id: target_text(case, column) for case_id, case in store.by_id.items()}
    return Column(
        list(texts.values()),
        [texts[case_id] for case_id in train],
        str(store.folder),
        store.cohort.classes if name == MARKER else (),
    )


def _columns(store: Store) -> list[str]:
    """Columns with a value in at least one case."""
    cases = store.by_id.values()
    own = [c for c in TARGET_COLUMNS if any(target_text(case, c) is not None for case in cases)]
    return [*own, *sorted({column for case in cases for column in case.columns})]


def restore_tasks(
    records: Mapping[str, TaskRecord], settings: LossConfig
) -> dict[str, AuxiliaryTask]:
    """The auxiliary tasks of a trained network.

    Raises:
        ConfigError: If a kind is unknown, or its package cannot be loaded.
    """
    return {
        name: find_kind(record.kind)(name, record, settings) for name, record in records.items()
    }


def marker_record(classes: Sequence[str]) -> TaskRecord:
    """The record of the marker task; older checkpoints hold only its classes."""
    return TaskRecord(kind="classification", column=MARKER, classes=tuple(classes))


def find_scorer(kind: str) -> type[AuxiliaryTask] | None:
    """The kind with its metrics; None where it is not installed."""
    try:
        return find_kind(kind)
    except ConfigError:
        return None
