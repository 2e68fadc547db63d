"""The transfer experiment, run: both cohorts' models, each on both; then tables and reports.

Every finished piece is kept, so the command can be repeated after an interruption. A run that fails
does not stop the others; what builds on it waits for the next time.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from plgg.compare.transfer import write_rows
from plgg.config import Config
from plgg.errors import PlggError
from plgg.experiment import Plan
from plgg.experiment.begin import begin
from plgg.experiment.plan import Job
from plgg.experiment.work import attempt, is_finished
from plgg.io.output import EXPERIMENT, TRANSFER, output_folder
from plgg.io.store import Store
from plgg.report.experiment import write_experiment_report
from plgg.report.transfer import write_transfer_report
from plgg.scoring import score_parts
from plgg.transfer.plan import OWN, TRANSFERRED, TUNED, Transfer, require_fit
from plgg.transfer.table import names, transfer_table
from plgg.watch import Watch


@dataclass(frozen=True)
class Transferred:
    """What came of a transfer experiment.

    Attributes:
        report: Path of the report; None where nothing is evaluated yet.
        failed: Why each run failed that did, by name.
    """

    report: Path | None
    failed: dict[str, str]


def run_transfer(plan: Transfer, watch: Watch) -> Transferred:
    """Run everything that is not there yet and write tables and reports.

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


def _run(plan: Transfer, watch: Watch) -> Transferred:
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
        return Transferred(None, failed)
    watch.say("comparing and drawing the reports")
    write_rows(plan.out / "transfer", rows)
    for folder, store in ((plan.home_out, plan.home), (plan.away_out, plan.away)):
        write_experiment_report(folder, store=store.folder)
    home, away = names(plan)
    report = write_transfer_report(
        plan.out, rows, home=home, away=away, failed=failed, command=plan.command
    )
    return Transferred(report, failed)


def _begin(plan: Transfer, store: Store, out: Path, arms: Mapping[str, Config]) -> None:
    begin(Plan(store, out, plan.config, arms, plan.n_splits, plan.command))


def _split(plan: Transfer, k: int, watch: Watch) -> dict[str, str]:
    """All that belongs to one split; gives the reasons of what failed."""
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
    """The first cohort's model, as it is, on the other's patients."""
    label, out = f"split {k + 1}, {arm}", plan.away_run(k, arm)
    try:
        score_parts(plan.away, model, plan.split(plan.away, k), out, watch, label=label)
    except PlggError as error:
        return {label: str(error)}
    return {}


def _scored_back(plan: Transfer, k: int, arm: str, watch: Watch) -> dict[str, str]:
    """A model of the other cohort on the first one's test patients."""
    label, split = f"split {k + 1}, {arm}, back home", plan.split(plan.home, k)
    model, out = plan.away_run(k, arm), plan.back(k, arm)
    try:
        score_parts(plan.home, model, split, out, watch, label=label, parts=("test",))
    except PlggError as error:
        return {label: str(error)}
    return {}
