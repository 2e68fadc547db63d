"""What a user asks of a transfer experiment, and synthetic cohorts for who has no second one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from plgg.config import Config
from plgg.io.store import Store
from plgg.phantom import PhantomSettings
from plgg.synthetic import make_patients, make_store
from plgg.transfer.plan import Transfer
from plgg.watch import Watch


@dataclass(frozen=True)
class Course:
    """How far to go.

    Attributes:
        splits: Of both cohorts.
        tuning: `key=value` settings of the fine-tuning alone.
        frozen_stages: Stages of the encoder that fine-tuning leaves as they were.
        patients: Of each synthetic cohort, where no stores are named.
        command: What was typed, for the reports.
    """

    splits: int = 1
    tuning: tuple[str, ...] = ()
    frozen_stages: int = 0
    patients: int = 40
    command: str = ""


def transfer_of(home: Store, away: Store, out: Path, config: Config, course: Course) -> Transfer:
    """The experiment that is asked for."""
    return Transfer(
        home,
        away,
        out,
        config,
        course.splits,
        course.tuning,
        course.frozen_stages,
        course.command,
    )


def make_stores(out: Path, config: Config, course: Course, watch: Watch) -> tuple[Store, Store]:
    """Synthetic adults, whose tumours are common and learnt from, and synthetic children."""
    adults = PhantomSettings(n_patients=course.patients, seed=config.seed, population="adult")
    children = PhantomSettings(n_patients=course.patients, seed=config.seed + 1, population="child")
    stores = [
        make_store(
            make_patients(out / "patients" / name, settings, watch),
            out / "stores" / name,
            config,
            watch,
        )
        for name, settings in (("adults", adults), ("children", children))
    ]
    return stores[0], stores[1]
