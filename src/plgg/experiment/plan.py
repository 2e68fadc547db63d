"""The jobs of an experiment; `experiment.json` created or resumed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

from plgg.config import Config, config_from_record, with_settings
from plgg.core.errors import RunError
from plgg.data.experiment_folder import (
    ExperimentRecord,
    arm_folder,
    read_experiment,
    write_experiment,
)
from plgg.data.folds import fold_splits
from plgg.data.split import Split, make_split
from plgg.data.store import Store
from plgg.data.store_fit import require_channels, require_grid, require_labels
from plgg.experiment.grid import Grid, points, values_of
from plgg.experiment.options import Workers
from plgg.train.tracking.follow import Tracking


@dataclass(frozen=True)
class Plan:
    """The plan of an experiment.

    Attributes:
        store: The preprocessed cohort.
        out: The experiment's folder.
        config: Settings of the base.
        arms: Settings of each arm by name; the first is the baseline.
        n_splits: Splits, numbered from 0.
        command: What the user typed, for the report.
        grid: Settings that are searched, on every arm that they have an effect on.
        workers: Where the runs are executed.
        tracking: Trackers of the training curves.
        folds: Whether the splits are the folds of a cross validation.
        n_seeds: Runs of each split and arm, of seeds that follow each other.
    """

    store: Store
    out: Path
    config: Config
    arms: Mapping[str, Config]
    n_splits: int
    command: str
    grid: Grid = field(default_factory=dict)
    workers: Workers = field(default_factory=Workers)
    tracking: Tracking = field(default_factory=Tracking)
    folds: bool = False
    n_seeds: int = 1

    @cached_property
    def _fold_splits(self) -> list[Split]:
        """Drawn once: every mask of the store is read for it."""
        return fold_splits(self.store, self.n_splits, seed=self.config.seed, test=True)

    def split(self, k: int) -> Split:
        """Split number `k`, the same for every arm."""
        if self.folds:
            return self._fold_splits[k]
        return make_split(self.store.cohort.cases, k=k, seed=self.config.seed)


@dataclass(frozen=True)
class Job:
    """One run.

    Attributes:
        k: Number of the split.
        arm: Name of the arm.
        point: Point of the grid; empty without one.
        config: Its settings.
        run: Its folder.
        tracking: Trackers of its training curves.
        seed: Number of its seed, from 0.
    """

    k: int
    arm: str
    point: str
    config: Config
    run: Path
    tracking: Tracking = field(default_factory=Tracking)
    seed: int = 0

    @property
    def name(self) -> str:
        """Title of the run, with splits counted from 1; it names the seed, if not the first."""
        named = f"split {self.k + 1}, {self.arm}{' ' if self.point else ''}{self.point}"
        return f"{named}, seed {self.config.seed}" if self.seed else named


def jobs(plan: Plan) -> Iterator[Job]:
    """Every run of an experiment, split by split, all arms of a seed before the next seed.

    Raises:
        ConfigError: If a point of the grid is out of range, or an arm does not fit the store.
    """
    # Imported late, because it loads torch, and a wrong path should be reported at once.
    from plgg.tasks.kinds import require_columns

    for arm, config in plan.arms.items():
        require_grid(plan.store, config.grid, who=f"the arm {arm!r}")
        require_channels(plan.store, config.channels)
        require_labels(plan.store, config.labels)
        require_columns(config, plan.store)
    found = {arm: points(config, plan.grid) for arm, config in plan.arms.items()}
    for k, seed in product(range(plan.n_splits), range(plan.n_seeds)):
        for arm, by_point in found.items():
            for point, config in by_point.items():
                folder = arm_folder(plan.out, k, arm, seed)
                run = folder / point if point else folder
                # The same patients: the split is drawn from the plan's own seed.
                own = with_settings(config, [f"seed={config.seed + seed}"]) if seed else config
                yield Job(k, arm, point, own, run, plan.tracking, seed)


def begin(plan: Plan) -> ExperimentRecord:
    """Write the plan into the experiment's folder, or extend the one that is there.

    Raises:
        RunError: If the folder holds another experiment.
    """
    record = _record(plan)
    if (plan.out / "experiment.json").is_file():
        record = _joined(plan, read_experiment(plan.out), record)
    write_experiment(plan.out, record)
    return record


def _record(plan: Plan) -> ExperimentRecord:
    arms = {name: config.model_dump(mode="json") for name, config in plan.arms.items()}
    return ExperimentRecord(
        store=str(plan.store.folder.resolve()),
        preset=plan.config.preset,
        config=plan.config.model_dump(mode="json", exclude={"arm"}),
        arms=tuple(arms),
        arm_configs=arms,
        grid=values_of(plan.config, plan.grid),
        n_splits=plan.n_splits,
        seed=plan.config.seed,
        folds=plan.folds,
        n_seeds=plan.n_seeds,
        commands=(plan.command,),
    )


def _joined(plan: Plan, known: ExperimentRecord, new: ExperimentRecord) -> ExperimentRecord:
    changed = _changes(known, new)
    if changed:
        raise RunError(
            f"holds an experiment of another {' and '.join(changed)}",
            where=plan.out,
            remedy="Choose another --out folder, or repeat the command that began it.",
        )
    return new.model_copy(
        update={
            "arms": tuple(dict.fromkeys([*known.arms, *new.arms])),
            "arm_configs": {**known.arm_configs, **new.arm_configs},
            "n_splits": max(known.n_splits, new.n_splits),
            "n_seeds": max(known.n_seeds, new.n_seeds),
            "commands": tuple(dict.fromkeys([*known.commands, *new.commands])),
            "seconds": known.seconds,
        }
    )


def _changes(known: ExperimentRecord, new: ExperimentRecord) -> list[str]:
    same = {
        "store": known.store == new.store,
        "config": _same(known.config, new.config),
        "grid": known.grid == new.grid,
        "folds": known.folds == new.folds and (not new.folds or known.n_splits == new.n_splits),
    }
    for name, config in known.arm_configs.items():
        if name in new.arm_configs:
            same[f"arm {name!r}"] = _same(config, new.arm_configs[name])
    return [name for name, is_same in same.items() if not is_same]


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two records are the same settings, those left out having their defaults."""
    plain = {"execution": Config().execution}
    found = [
        config_from_record(raw, where="experiment.json").model_copy(update=plain)
        for raw in (one, other)
    ]
    return found[0] == found[1]
