"""What was run, on what and with what, as pairs of a label and a value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from plgg.data.store import Store
from plgg.evaluate.experiment_records import Experiment, Record, Run, dig, finite
from plgg.report.experiment.runs import RunRecord
from plgg.report.numbers import UNDEFINED, count, duration, number

Facts = tuple[tuple[str, str], ...]


def cohort_facts(store: Store) -> Facts:
    """Who is in the store."""
    cases = store.cohort.cases
    ages = sorted(case.age_years for case in cases if case.age_years is not None)
    facts = [
        ("Patients", str(len({case.patient_id for case in cases}))),
        ("Scans", str(len(cases))),
        ("Scans with a mask", str(sum(case.has_mask for case in cases))),
        ("Markers", _counted([case.marker or "unknown" for case in cases])),
        ("Age, years", f"{number(ages[0], 1)} to {number(ages[-1], 1)}" if ages else ""),
        ("Sex", _counted([case.sex for case in cases if case.sex])),
        ("Sites", _counted([case.site for case in cases if case.site])),
        ("Grid", f"SRI24 atlas, {store.cohort.spacing_mm:g} mm"),
    ]
    return tuple((label, value) for label, value in facts if value)


def _counted(names: Sequence[str]) -> str:
    return ", ".join(f"{name} {n}" for name, n in sorted(Counter(names).items()))


def run_facts(experiment: Experiment, runs: Sequence[RunRecord]) -> Facts:
    """How it was trained.

    Args:
        experiment: Its records.
        runs: All its runs; of a grid also those that were not chosen.
    """
    record = experiment.record
    epochs = {run.n_epochs for run in runs if run.n_epochs}
    facts = (
        ("Preset", record.preset),
        ("Arms", ", ".join(experiment.arms)),
        ("Splits", _splits(experiment)),
        ("Seed", str(record.seed)),
        ("Epochs", _range(epochs)),
        ("Settings", _settings(experiment.runs)),
        ("Time of the commands", _known(duration(record.seconds))),
        ("Time of training", _known(_training_time(runs))),
        ("Machine", _machine(experiment.runs)),
    )
    return tuple((label, value) for label, value in facts if value)


def _splits(experiment: Experiment) -> str:
    sizes = next((run.sizes for run in experiment.runs if run.sizes), {})
    told = ", ".join(f"{n} {part}" for part, n in sizes.items())
    return f"{experiment.n_splits}" + (f" (scans in the first: {told})" if told else "")


def _range(values: set[int]) -> str:
    if not values:
        return ""
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low} to {high}"


def _settings(runs: Sequence[Run]) -> str:
    config = next((run.config for run in runs if run.config), {})
    told = (
        ("learning rate", dig(config, "optimiser", "learning_rate")),
        ("λ", dig(config, "loss", "marker_weight")),
        ("batch", dig(config, "patches", "batch")),
        ("patch", "×".join(map(str, dig(config, "patches", "size") or ()))),
        ("first filters", dig(config, "model", "init_filters")),
    )
    return ", ".join(f"{name} {value}" for name, value in told if value not in (None, ""))


def _training_time(runs: Sequence[RunRecord]) -> str:
    seconds = sum(run.seconds for run in runs)
    return duration(seconds) if seconds else UNDEFINED


def _known(text: str) -> str:
    return "" if text == UNDEFINED else text


def _machine(runs: Sequence[Run]) -> str:
    machine = next((m for run in runs if (m := dig(run.environment, "machine"))), None)
    if not isinstance(machine, dict):
        return ""
    cores = finite(machine.get("cores"))
    parts = [str(machine[key]) for key in ("system", "processor") if machine.get(key)]
    parts += [count(int(cores), "core")] if cores else []
    memory = finite(machine.get("memory_gib"))
    parts += [f"{memory:g} GiB of memory"] if memory else []
    parts += [str(machine[key]) for key in ("gpu", "device") if machine.get(key)]
    return ", ".join(parts)


def version_facts(experiment: Experiment) -> Facts:
    """Packages and their versions, of the first run that tells."""
    found = (dig(run.environment, "versions") for run in experiment.runs)
    known: Record = next((record for record in found if record and isinstance(record, dict)), {})
    return tuple((str(name), str(version)) for name, version in known.items())


def commands(experiment: Experiment) -> tuple[str, ...]:
    """What was typed."""
    return tuple(command for command in experiment.record.commands if command)
