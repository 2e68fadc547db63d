"""What an experiment is made of, and the runs that it takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from plgg.config import Config
from plgg.dataset.split import Split, make_split
from plgg.errors import ConfigError
from plgg.experiment.grid import Grid, points
from plgg.io.experiment import arm_folder
from plgg.io.store import Store
from plgg.track import Tracking


@dataclass(frozen=True)
class Workers:
    """Who does the runs.

    Attributes:
        kind: `local`, one after the other in this process, or `ray`.
        address: Of a Ray cluster; None starts one on this machine.
        cpus: Processor cores of a run.
        gpus: GPUs of a run, or a share of one; None takes one where there are any.
        retries: How often a failed run is tried again at once.
    """

    kind: str = "local"
    address: str | None = None
    cpus: int = 1
    gpus: float | None = None
    retries: int = 0

    def __post_init__(self) -> None:
        if self.kind not in {"local", "ray"}:
            raise ConfigError(f"no workers are called {self.kind!r}", remedy="Choose local or ray.")


@dataclass(frozen=True)
class Plan:
    """An experiment.

    Attributes:
        store: The preprocessed cohort.
        out: The experiment's folder.
        config: Settings of the base.
        arms: Settings of each arm by name; the first is the baseline.
        n_splits: Splits, numbered from 0.
        command: What the user typed, for the report.
        grid: Settings that are searched, on every arm that they concern.
        workers: Who does the runs.
        tracking: Who keeps their curves.
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

    def split(self, k: int) -> Split:
        """Split number `k`, the same for every arm."""
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
        tracking: Who keeps its curves.
    """

    k: int
    arm: str
    point: str
    config: Config
    run: Path
    tracking: Tracking = field(default_factory=Tracking)

    @property
    def name(self) -> str:
        """For people: splits count from 1."""
        return f"split {self.k + 1}, {self.arm}{' ' if self.point else ''}{self.point}"


def jobs(plan: Plan) -> Iterator[Job]:
    """Every run of an experiment, split by split.

    Raises:
        ConfigError: If a point of the grid is out of range, or an arm does not fit the store.
    """
    spacing = plan.store.cohort.spacing_mm
    for arm, config in plan.arms.items():
        if config.grid.spacing_mm != spacing:
            raise ConfigError(
                f"the arm {arm!r} wants {config.grid.spacing_mm:g} mm voxels, the store has "
                f"{spacing:g} mm",
                where=plan.store.folder,
                remedy="Leave the arm out, or preprocess for it and compare with plgg compare.",
            )
    found = {arm: points(config, plan.grid) for arm, config in plan.arms.items()}
    for k in range(plan.n_splits):
        for arm, by_point in found.items():
            for point, config in by_point.items():
                folder = arm_folder(plan.out, k, arm)
                run = folder / point if point else folder
                yield Job(k, arm, point, config, run, plan.tracking)
