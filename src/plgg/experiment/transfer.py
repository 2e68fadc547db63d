"""The transfer experiment: models of two cohorts, each tested on both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from plgg.config import Config, same_preprocessing, with_settings
from plgg.core.errors import ConfigError, PlggError
from plgg.core.output import EXPERIMENT, TRANSFER, output_folder
from plgg.core.progress import Watch
from plgg.data.split import Split, make_split
from plgg.data.store import Store
from plgg.evaluate.compare.experiment import TransferRow, transfer_row
from plgg.experiment.demo import make_patients, make_store
from plgg.experiment.options import TransferOptions
from plgg.experiment.plan import Job, Plan, begin
from plgg.experiment.run_job import attempt, is_finished
from plgg.experiment.scoring import score_parts
from plgg.phantom.settings import PhantomSettings
from plgg.report.experiment.page import write_experiment_report
from plgg.report.transfer import write_rows, write_transfer_report


def transfer_of(
    home: Store, away: Store, out: Path, config: Config, course: TransferOptions
) -> Transfer:
    """Make a transfer experiment from its options."""
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


def make_stores(
    out: Path, config: Config, course: TransferOptions, watch: Watch
) -> tuple[Store, Store]:
    """Make a store of synthetic adults, the first cohort, and one of synthetic children."""
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
        """Folder of the first cohort's model on a split."""
        return self.home_out / f"split-{k}" / self.config.arm

    def away_run(self, k: int, arm: str) -> Path:
        """Folder of one arm on a split of the other cohort."""
        return self.away_out / f"split-{k}" / arm

    def back(self, k: int, arm: str) -> Path:
        """Folder for results of the other cohort's model on the first cohort's test patients."""
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
    if home.voxels != away.voxels or not same_preprocessing(home.settings, away.settings):
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


def names(plan: Transfer) -> tuple[str, str]:
    """Names of the cohorts: those of their folders, if these differ."""
    home, away = plan.home.folder.resolve().name, plan.away.folder.resolve().name
    return (home, away) if home != away else ("home", "away")


def transfer_table(plan: Transfer) -> tuple[TransferRow, ...]:
    """A row for each pair of training and test patients that is evaluated."""
    home, away = names(plan)
    both = f"{home}, then {away}"

    def row(trained_on: str, tested_on: str, folder: Callable[[int], Path]) -> TransferRow | None:
        evaluations = [folder(k) / "evaluation" / "test" for k in range(plan.n_splits)]
        return transfer_row(trained_on, tested_on, evaluations, seed=plan.config.seed)

    rows = (
        row(home, home, plan.home_run),
        row(home, away, lambda k: plan.away_run(k, TRANSFERRED)),
        row(away, away, lambda k: plan.away_run(k, OWN)),
        row(both, away, lambda k: plan.away_run(k, TUNED)),
        row(away, home, lambda k: plan.back(k, OWN)),
        row(both, home, lambda k: plan.back(k, TUNED)),
    )
    return tuple(found for found in rows if found is not None)


@dataclass(frozen=True)
class TransferOutcome:
    """The outcome of a transfer experiment.

    Attributes:
        report: Path of the report; None where nothing is evaluated yet.
        failed: Reason of each failed run, by name.
    """

    report: Path | None
    failed: dict[str, str]


def run_transfer(plan: Transfer, watch: Watch) -> TransferOutcome:
    """Execute all runs that are not finished, and write tables and reports.

    Raises:
        ConfigError: If the cohorts or the settings do not fit together.
        RunError: If the folder holds another experiment.
    """
    require_fit(plan)
    with ExitStack() as held:
        for folder, kind in (
            (plan.out, TRANSFER),
            (plan.home_out, EXPERIMENT),
            (plan.away_out, EXPERIMENT),
        ):
            held.enter_context(output_folder(folder, kind))
        return _run(plan, watch)


def _run(plan: Transfer, watch: Watch) -> TransferOutcome:
    tuned = plan.tuned(0)
    _begin(plan, plan.home, plan.home_out, {plan.config.arm: plan.config})
    arms = {OWN: plan.config, TRANSFERRED: plan.config, TUNED: tuned}
    _begin(plan, plan.away, plan.away_out, arms)
    failed: dict[str, str] = {}
    for k in range(plan.n_splits):
        failed |= _split(plan, k, watch)
    for name, reason in failed.items():
        watch.say(f"{name} failed: {reason}")
    rows = transfer_table(plan)
    if not rows:
        return TransferOutcome(None, failed)
    watch.say("comparing and drawing the reports")
    write_rows(plan.out / "transfer", rows)
    for folder, store in ((plan.home_out, plan.home), (plan.away_out, plan.away)):
        write_experiment_report(folder, store=store.folder)
    home, away = names(plan)
    report = write_transfer_report(
        plan.out, rows, home=home, away=away, failed=failed, command=plan.command
    )
    return TransferOutcome(report, failed)


def _begin(plan: Transfer, store: Store, out: Path, arms: Mapping[str, Config]) -> None:
    begin(Plan(store, out, plan.config, arms, plan.n_splits, plan.command))


def _split(plan: Transfer, k: int, watch: Watch) -> dict[str, str]:
    """Train and evaluate the models of one split; return the reasons of failures."""
    home = Job(k, f"{plan.config.arm} at home", "", plan.config, plan.home_run(k))
    own = Job(k, f"{OWN} away", "", plan.config, plan.away_run(k, OWN))
    failed = _trained(home, plan.home, plan, watch) | _trained(own, plan.away, plan, watch)
    if home.name not in failed:
        tuned = Job(k, TUNED, "", plan.tuned(k), plan.away_run(k, TUNED))
        failed |= _scored(plan, k, home.run, TRANSFERRED, watch)
        failed |= _trained(tuned, plan.away, plan, watch)
        if tuned.name not in failed:
            failed |= _scored_back(plan, k, TUNED, watch)
    if own.name not in failed:
        failed |= _scored_back(plan, k, OWN, watch)
    return failed


def _trained(job: Job, store: Store, plan: Transfer, watch: Watch) -> dict[str, str]:
    if is_finished(job, store):
        return {}
    reason = attempt(job, store, plan.split(store, job.k), watch, retries=0)
    return {} if reason is None else {job.name: reason}


def _scored(plan: Transfer, k: int, model: Path, arm: str, watch: Watch) -> dict[str, str]:
    """Evaluate the first cohort's model, without fine-tuning, on the other cohort's patients."""
    label, out = f"split {k + 1}, {arm}", plan.away_run(k, arm)
    try:
        score_parts(plan.away, model, plan.split(plan.away, k), out, watch, label=label)
    except PlggError as error:
        return {label: str(error)}
    return {}


def _scored_back(plan: Transfer, k: int, arm: str, watch: Watch) -> dict[str, str]:
    """Evaluate a model of the other cohort on the first cohort's test patients."""
    label, split = f"split {k + 1}, {arm}, back home", plan.split(plan.home, k)
    model, out = plan.away_run(k, arm), plan.back(k, arm)
    try:
        score_parts(plan.home, model, split, out, watch, label=label, parts=("test",))
    except PlggError as error:
        return {label: str(error)}
    return {}
