"""Facts of an experiment: its patients, how it was trained, on what, by which commands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from plgg.data.store import Store
from plgg.evaluate.experiment_records import Experiment, Record, Run, finite, nested
from plgg.report.experiment.runs import RunRecord, cores_of, named_of
from plgg.report.numbers import blank, duration, number
from plgg.report.parts import Facts, known


def cohort_facts(store: Store) -> Facts:
    """Patients, scans, markers, ages, sexes and sites of a store, and its grid."""
    cases = store.cohort.cases
    ages = sorted(case.age_years for case in cases if case.age_years is not None)
    facts = (
        ("Patients", str(len({case.patient_id for case in cases}))),
        ("Scans", str(len(cases))),
        ("Scans with a mask", str(sum(case.has_mask for case in cases))),
        ("Markers", _counted([case.marker or "unknown" for case in cases])),
        ("Age, years", f"{number(ages[0], 1)} to {number(ages[-1], 1)}" if ages else ""),
        ("Sex", _counted([case.sex for case in cases if case.sex])),
        ("Sites", _counted([case.site for case in cases if case.site])),
        ("Grid", store.cohort.voxels),
    )
    return known(facts)


def _counted(names: Sequence[str]) -> str:
    return ", ".join(f"{name} {n}" for name, n in sorted(Counter(names).items()))


def run_facts(experiment: Experiment, runs: Sequence[RunRecord]) -> Facts:
    """Settings, time and machine of the training.

    Args:
        experiment: Its records.
        runs: All its runs; of a grid also those that were not chosen.
    """
    record = experiment.record
    epochs = {run.n_epochs for run in runs if run.n_epochs}
    seconds = sum(run.seconds for run in runs)
    facts = (
        ("Preset", record.preset),
        ("Arms", ", ".join(experiment.arms)),
        ("Splits", _splits(experiment)),
        ("Seed", _seeds(experiment)),
        ("Epochs", _range(epochs)),
        ("Settings", _settings(experiment.runs)),
        ("Time of the commands", blank(duration(record.seconds))),
        ("Time of training", duration(seconds) if seconds else ""),
        ("Machine", _machine_of(experiment.runs)),
    )
    return known(facts)


def _splits(experiment: Experiment) -> str:
    sizes = next((run.sizes for run in experiment.runs if run.sizes), {})
    parts = ", ".join(f"{n} {part}" for part, n in sizes.items())
    return f"{experiment.n_splits}" + (f" (scans in the first: {parts})" if parts else "")


def _seeds(experiment: Experiment) -> str:
    first, n = experiment.record.seed, experiment.n_seeds
    return str(first) if n == 1 else f"{first} to {first + n - 1}, each of {n} a run"


def _range(values: set[int]) -> str:
    if not values:
        return ""
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low} to {high}"


def _settings(runs: Sequence[Run]) -> str:
    config = next((run.config for run in runs if run.config), {})
    settings = (
        ("learning rate", nested(config, "optimiser", "learning_rate")),
        ("λ", nested(config, "loss", "marker_weight")),
        ("batch", nested(config, "patches", "batch")),
        ("patch", "×".join(map(str, nested(config, "patches", "size") or ()))),
        ("first filters", nested(config, "model", "init_filters")),
    )
    return ", ".join(f"{name} {value}" for name, value in settings if value not in (None, ""))


def _machine_of(runs: Sequence[Run]) -> str:
    """System, processor, memory and GPU, of the first run with such a record."""
    machine = next((m for run in runs if (m := nested(run.environment, "machine"))), None)
    if not isinstance(machine, dict):
        return ""
    memory = finite(machine.get("memory_gib"))
    parts = [*named_of(machine, "system", "processor"), *cores_of(machine)]
    parts += [f"{memory:g} GiB of memory"] if memory else []
    return ", ".join([*parts, *named_of(machine, "gpu", "device")])


def version_facts(experiment: Experiment) -> Facts:
    """Packages and their versions, of the first run with such a record."""
    found = (nested(run.environment, "versions") for run in experiment.runs)
    versions: Record = next((record for record in found if record and isinstance(record, dict)), {})
    return tuple((str(name), str(version)) for name, version in versions.items())


def commands(experiment: Experiment) -> tuple[str, ...]:
    """The command lines that ran the experiment."""
    return tuple(command for command in experiment.record.commands if command)
