"""What a transfer experiment is made of, and what must hold before anything is spent on it.

    OUT/home/split-K/ARM                          trained on one cohort
    OUT/away/split-K/{own,transferred,fine-tuned} on the other: trained there; taken as it is;
                                                  trained on from the first
    OUT/back/split-K/{own,fine-tuned}             the other's models on the first cohort's patients

`home` and `away` are experiments like any other, with tables and reports of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from plgg.config import Config, same_preprocessing, with_settings
from plgg.dataset.split import Split, make_split
from plgg.errors import ConfigError
from plgg.io.store import Store

OWN, TRANSFERRED, TUNED = "own", "transferred", "fine-tuned"


@dataclass(frozen=True)
class Transfer:
    """A transfer experiment.

    Attributes:
        home: The cohort that a model comes from.
        away: The cohort that it goes to.
        out: The experiment's folder.
        config: Settings of all training.
        n_splits: Splits of both cohorts, numbered from 0.
        tuning: `key=value` settings of the fine-tuning alone.
        frozen_stages: Stages of the encoder that fine-tuning leaves as they were.
        command: What the user typed, for the reports.
    """

    home: Store
    away: Store
    out: Path
    config: Config
    n_splits: int = 1
    tuning: tuple[str, ...] = ()
    frozen_stages: int = 0
    command: str = ""

    def split(self, store: Store, k: int) -> Split:
        """Split number `k` of a cohort."""
        return make_split(store.cohort.cases, k=k, seed=self.config.seed)

    @property
    def home_out(self) -> Path:
        """Folder of the experiment at home."""
        return self.out / "home"

    @property
    def away_out(self) -> Path:
        """Folder of the experiment away."""
        return self.out / "away"

    def home_run(self, k: int) -> Path:
        """The model of a split of the first cohort."""
        return self.home_out / f"split-{k}" / self.config.arm

    def away_run(self, k: int, arm: str) -> Path:
        """What one arm left on a split of the other cohort."""
        return self.away_out / f"split-{k}" / arm

    def back(self, k: int, arm: str) -> Path:
        """What the other cohort's model said of the first cohort's test patients."""
        return self.out / "back" / f"split-{k}" / arm

    def tuned(self, k: int) -> Config:
        """Settings of the fine-tuning on split `k`."""
        config = with_settings(self.config, self.tuning)
        init = config.init.model_copy(
            update={"run": str(self.home_run(k)), "frozen_stages": self.frozen_stages}
        )
        return config.model_copy(update={"init": init})


def require_fit(plan: Transfer) -> None:
    """Check that a model can go from one cohort to the other.

    Raises:
        ConfigError: If the cohorts share scans, were prepared in different ways, or name other
            markers.
    """
    home, away = plan.home.cohort, plan.away.cohort
    shared = {case.flair_sha256 for case in home.cases} & {c.flair_sha256 for c in away.cases}
    if shared:
        raise ConfigError(
            f"{len(shared)} scans are in both cohorts",
            where=plan.away.folder,
            remedy="A model must not be tested on what it was trained on: take them out of one.",
        )
    if home.spacing_mm != away.spacing_mm or not same_preprocessing(home.settings, away.settings):
        raise ConfigError(
            "the cohorts were prepared in different ways",
            where=plan.away.folder,
            remedy="Preprocess both with the same preset and settings.",
        )
    if plan.config.arm == "multitask" and home.classes != away.classes:
        raise ConfigError(
            f"the cohorts name other markers: {', '.join(home.classes)}, and "
            f"{', '.join(away.classes)}",
            where=plan.away.folder,
            remedy="Give both manifests the same classes, or add --arm single.",
        )
