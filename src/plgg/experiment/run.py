"""All runs of an experiment that are not there yet; then the tables and the report.

Every finished piece is kept, so the command can be repeated after an interruption. A run that fails
does not stop the others; repeating the command tries it again.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from plgg.compare import compare_experiment, repeated_tests, write_comparison, write_table1
from plgg.dataset.split import same_tests
from plgg.experiment.begin import begin
from plgg.experiment.choose import choose
from plgg.experiment.on_ray import run_on_ray
from plgg.experiment.plan import Job, Plan, jobs
from plgg.experiment.work import attempt, is_finished
from plgg.io.experiment import run_of, write_experiment
from plgg.io.output import EXPERIMENT, output_folder
from plgg.report.experiment import write_experiment_report
from plgg.watch import Watch


@dataclass(frozen=True)
class Done:
    """What came of an experiment.

    Attributes:
        report: Path of the report; None where nothing is evaluated yet.
        failed: Why each run failed that did, by name.
    """

    report: Path | None
    failed: dict[str, str]


def run_experiment(plan: Plan, watch: Watch) -> Done:
    """Run everything that is not there yet and write tables and report.

    Raises:
        ConfigError: If an arm or a point of the grid does not fit.
        RunError: If the folder holds another experiment.
        OutputError: If another process runs it, or something else is in its place.
    """
    with output_folder(plan.out, EXPERIMENT):
        return _run(plan, watch)


def _run(plan: Plan, watch: Watch) -> Done:
    started = time.monotonic()
    splits = [plan.split(k) for k in range(plan.n_splits)]
    for group in same_tests(splits, plan.store.cohort.cases):
        watch.say(repeated_tests(group))
    wanted = list(jobs(plan))
    record = begin(plan)
    try:
        failed = _work(plan, [job for job in wanted if not is_finished(job, plan.store)], watch)
        choose(plan, wanted)
    finally:
        # Also of what is interrupted.
        spent = round(record.seconds + time.monotonic() - started, 1)
        write_experiment(plan.out, record.model_copy(update={"seconds": spent}))
    runs = [run_of(plan.out, job.k, job.arm) for job in wanted]
    if not any((run / "evaluation" / "test").is_dir() for run in runs):
        return Done(None, failed)
    watch.say("comparing and drawing the report")
    comparison = compare_experiment(plan.out, seed=plan.config.seed)
    write_comparison(plan.out / "comparison.json", comparison)
    write_table1(plan.out, comparison)
    return Done(write_experiment_report(plan.out, store=plan.store.folder), failed)


def _work(plan: Plan, wanted: Sequence[Job], watch: Watch) -> dict[str, str]:
    """Do the runs; gives the reasons of those that failed."""
    failed = (_locally if plan.workers.kind == "local" else _by_ray)(plan, wanted, watch)
    for name, reason in failed.items():
        watch.say(f"{name} failed: {reason}")
    return failed


def _locally(plan: Plan, wanted: Sequence[Job], watch: Watch) -> dict[str, str]:
    retries = plan.workers.retries
    reasons = {
        job.name: attempt(job, plan.store, plan.split(job.k), watch, retries=retries)
        for job in wanted
    }
    return {name: reason for name, reason in reasons.items() if reason is not None}


def _by_ray(plan: Plan, wanted: Sequence[Job], watch: Watch) -> dict[str, str]:
    reasons: dict[str, str | None] = {}
    if not wanted:
        return {}
    with watch.task(f"{len(wanted)} runs") as progress:

        def told(job: Job, reason: str | None) -> None:
            reasons[job.name] = reason
            n_failed = sum(found is not None for found in reasons.values())
            progress(len(reasons), len(wanted), failed=n_failed)

        pairs = [(job, plan.split(job.k)) for job in wanted]
        run_on_ray(pairs, plan.store.folder, plan.workers, told)
    return {name: reason for name, reason in reasons.items() if reason is not None}
