"""The experiment: the same splits for every arm, each (split, arm) a run of its own.

Train, predict, evaluate; then compare, tabulate and report. Every finished piece is kept, so the
command can be repeated after an interruption.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plgg.compare import compare_experiment, write_comparison, write_table1
from plgg.config import Arm, Config
from plgg.dataset.split import Split, make_split
from plgg.errors import RunError
from plgg.io.files import make_folder, read_json, write_json
from plgg.io.store import Store
from plgg.report import write_experiment_report
from plgg.scoring import score_run
from plgg.train.run import train
from plgg.watch import Watch


@dataclass(frozen=True)
class Plan:
    """What an experiment is made of.

    Attributes:
        store: The preprocessed cohort.
        out: The experiment's folder.
        config: Settings of every run but for the arm.
        arms: The arms to compare; the first is the baseline.
        n_splits: Splits, numbered from 0.
        command: What the user typed, for the report.
    """

    store: Store
    out: Path
    config: Config
    arms: tuple[Arm, ...]
    n_splits: int
    command: str


def run_experiment(plan: Plan, watch: Watch) -> Path:
    """Run everything that is not there yet and write tables and report.

    Returns:
        Path of the report.

    Raises:
        RunError: If the folder holds another experiment.
    """
    started = time.monotonic()
    make_folder(plan.out)
    record = _begin(plan)
    for k in range(plan.n_splits):
        split = make_split(plan.store.cohort.cases, k=k, seed=plan.config.seed)
        for arm in plan.arms:
            run_arm(plan, split, arm, watch)
    record["seconds"] = round(record["seconds"] + time.monotonic() - started, 1)
    write_json(plan.out / "experiment.json", record)
    watch.say("comparing and drawing the report")
    comparison = compare_experiment(plan.out, seed=plan.config.seed)
    write_comparison(plan.out / "comparison.json", comparison)
    write_table1(plan.out, comparison)
    return write_experiment_report(plan.out, store=plan.store.folder)


def _begin(plan: Plan) -> dict[str, Any]:
    """Write `experiment.json`, or check that the one there is the same experiment."""
    path = plan.out / "experiment.json"
    record: dict[str, Any] = {
        "format": "plgg-experiment",
        "version": 1,
        "store": str(plan.store.folder.resolve()),
        "preset": plan.config.preset,
        "config": plan.config.model_dump(mode="json", exclude={"arm"}),
        "arms": list(plan.arms),
        "n_splits": plan.n_splits,
        "seed": plan.config.seed,
        "commands": [plan.command],
        "seconds": 0.0,
    }
    if path.is_file():
        known = read_json(path)
        changed = [key for key in ("store", "config") if known.get(key) != record[key]]
        if changed:
            raise RunError(
                f"holds an experiment of another {' and '.join(changed)}",
                where=plan.out,
                remedy="Choose another --out folder, or repeat the command that began it.",
            )
        record["seconds"] = known.get("seconds", 0.0)
        record["commands"] = list(dict.fromkeys([*known.get("commands", []), plan.command]))
    write_json(path, record)
    return record


def run_arm(plan: Plan, split: Split, arm: Arm, watch: Watch) -> None:
    """Train one arm on one split, then predict and evaluate validation and test."""
    config = plan.config.model_copy(update={"arm": arm})
    run = plan.out / f"split-{split.k}" / arm
    label = f"split {split.k + 1}/{plan.n_splits}, {arm}"
    with watch.training(label) as listener:
        train(plan.store, run, config, split, listener=listener)
    score_run(plan.store, run, split, watch, label=label)
