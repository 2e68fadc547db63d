"""What a user asks of an experiment, as typed. Knows nothing of stores or settings."""

from __future__ import annotations

from dataclasses import dataclass, field

from plgg.experiment.plan import Workers


@dataclass(frozen=True)
class Design:
    """Splits, arms and who does the runs.

    Attributes:
        splits: How many.
        arms: Names: single, multitask, a preset's, or one that is defined; the first is the
            baseline.
        defined: `NAME=ARM key=value …`, from single, multitask or a preset.
        grid: `key=value,value,…`; the winner of each split is chosen on its validation patients.
        workers: Who does the runs.
        command: What was typed, for the report.
        track: Who keeps their curves: tensorboard, mlflow.
    """

    splits: int = 6
    arms: tuple[str, ...] = ("single", "multitask")
    defined: tuple[str, ...] = ()
    grid: tuple[str, ...] = ()
    workers: Workers = field(default_factory=Workers)
    command: str = ""
    track: tuple[str, ...] = ()
