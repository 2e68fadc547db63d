"""`experiment.json`: written anew, or the one that is there checked and added to.

More arms and more splits may come; what is there stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plgg.config import Config, config_from_record
from plgg.errors import RunError
from plgg.experiment.grid import values_of
from plgg.experiment.plan import Plan
from plgg.io.experiment import ExperimentRecord, read_experiment, write_experiment


def begin(plan: Plan) -> ExperimentRecord:
    """Write the plan into the experiment's folder.

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
            "commands": tuple(dict.fromkeys([*known.commands, *new.commands])),
            "seconds": known.seconds,
        }
    )


def _changes(known: ExperimentRecord, new: ExperimentRecord) -> list[str]:
    same = {
        "store": known.store == new.store,
        "config": _same(known.config, new.config),
        "grid": known.grid == new.grid,
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
