"""Options of experiments, as on the command line; importing them loads no heavy library."""

from __future__ import annotations

from dataclasses import dataclass, field

from plgg.core.errors import ConfigError

_MOST_SEEDS = 100


@dataclass(frozen=True)
class TransferOptions:
    """Options of a transfer experiment.

    Attributes:
        splits: Number of splits of each cohort.
        tuning: `key=value` settings of the fine-tuning alone.
        frozen_stages: Stages of the encoder that fine-tuning freezes.
        patients: Patients of each synthetic cohort, where no stores are given.
        command: The command line, for the reports.
    """

    splits: int = 1
    tuning: tuple[str, ...] = ()
    frozen_stages: int = 0
    patients: int = 40
    command: str = ""


# Voxels of 3 mm and few steps, which two cores can train; cross-entropy helps where steps are few.
SYNTHETIC_SETTINGS = (
    "grid.spacing_mm=3",
    # Synthetic heads are made in the atlas' space; registering them would only take time.
    "preprocess.registration=centre",
    "patches.size=[56,64,48]",
    "optimiser.epochs=22",
    "optimiser.learning_rate=0.0015",
    "loss.voxel_weight=1",
    "model.marker.dropout=0.5",
    "validate_every=4",
)


@dataclass(frozen=True)
class Workers:
    """Where the runs are executed.

    Attributes:
        kind: `local`, one after the other in this process, or `ray`.
        address: Of a Ray cluster; None starts one on this machine.
        cpus: Processor cores of a run.
        gpus: GPUs of a run, or a share of one; None takes one where there are any.
        retries: How often a failed run is repeated at once.
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
class Design:
    """The design of an experiment: splits, seeds, arms, grid and workers.

    Attributes:
        splits: Number of splits.
        folds: Number of folds of a cross validation, instead of splits.
        seeds: Runs of each split and arm, which differ only in their seed.
        arms: Names: single, multitask, dense, dense-marker, oracle, a preset's, or one that is
            defined; the first is the baseline.
        defined: `NAME=ARM key=value …`, from one of the others.
        grid: `key=value,value,…`; the winner of each split is chosen on its validation patients.
        workers: Where the runs are executed.
        command: The command line, for the report.
        track: Trackers of the training curves: tensorboard, mlflow.
    """

    splits: int = 6
    folds: int | None = None
    seeds: int = 1
    arms: tuple[str, ...] = ("single", "multitask")
    defined: tuple[str, ...] = ()
    grid: tuple[str, ...] = ()
    workers: Workers = field(default_factory=Workers)
    command: str = ""
    track: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.seeds <= _MOST_SEEDS:
            raise ConfigError(
                f"{self.seeds} seeds are asked for", remedy=f"Choose 1 to {_MOST_SEEDS}."
            )
