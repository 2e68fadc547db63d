"""How time and memory of an epoch of `plgg train` grow with the patients: 86, 258, 860.

Phantoms are made and preprocessed by the package, `--made` of them; each store is filled up to its
number of patients with copies of those under new ids and patient ids. The copies are files of their
own, not links, and before each training the system is asked to drop them from its file cache (where
it knows posix_fadvise): the first epoch, told apart, reads from disk. Later ones read what the
system kept, as real trainings do where the store (0.2 MB a patient at 2 mm) fits into free memory.

Each size trains in a fresh process, so that its peak of resident memory is its own. An epoch is all
of it: steps, validation, checkpoints. Milliseconds are those of an epoch over *all* patients of the
cohort, of which 70 % are trained on and 15 % validated. The ratios are those of the largest number
of patients to the smallest: 1 is linear time, or flat memory. `ratio` is of the processor's time,
which does not count waiting for a core; what waits for a disk shows in `waited`, the share of an
epoch in which the network waited for data. Where other work comes and goes, let the sizes take
turns (`--rounds`). `--patients 86 --epochs 30` makes the steps of 860 patients on 86: what grows
there as well grows with the steps, not with the patients. Run:
    python benchmarks/scaling.py [--size tiny|small] [--set KEY=VALUE] [--rounds 2] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from common import peak_gib
from plgg.config import PRESETS, Config, with_settings
from plgg.core.environment import machine, versions
from plgg.core.files import write_json
from plgg.core.progress import EpochEnd, Step
from plgg.data.manifest import read_manifest
from plgg.data.split import make_split
from plgg.data.store import Store, case_folder, read_record
from plgg.data.store_records import Cohort, StoredCase
from plgg.data.store_writing import write_cohort
from plgg.phantom.cohort import make_cohort
from plgg.phantom.settings import PhantomSettings
from plgg.preprocess.cohort import preprocess_cohort
from plgg.train.run import train

# The preset `small`, coarser and narrower; its patch covers a whole brain as well.
TINY = ("grid.spacing_mm=4", "model.init_filters=8", "patches.size=[40,48,40]")
COLUMNS = {
    "patients": "patients",
    "epoch_s": "epoch s",
    "ms_a_patient": "ms/patient",
    "cpu_ms_a_patient": "CPU ms/patient",
    "first_epoch_s": "first epoch s",
    "waited": "waited",
    "start_mib": "MiB at start",
    "peak_mib": "peak MiB",
    "open_ms": "open store ms",
    "split_ms": "split ms",
}


def main() -> None:
    """Make the stores, train on each in turn, print a table or JSON."""
    options = parse()
    if options.store:
        print(json.dumps(measured(options.store, configured(options))))
        return
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        config = configured(options)
        stores = [make_store(folder, n, options.made, config) for n in options.patients]
        rounds = [[alone(store, options) for store in stores] for _ in range(options.rounds)]
        found = summary([middle(list(runs)) for runs in zip(*rounds, strict=True)], options)
    print(json.dumps(found, indent=2) if options.json else table(found))


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--size", choices=("tiny", "small"), default="tiny", help="preset, or 4 mm")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings")
    parser.add_argument("--patients", type=int, nargs="+", default=[86, 258, 860])
    parser.add_argument("--epochs", type=int, default=3, help="the first one is told apart")
    parser.add_argument("--made", type=int, default=20, help="phantoms; the rest are copies")
    parser.add_argument("--rounds", type=int, default=1, help="how often the sizes take turns")
    parser.add_argument("--store", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.epochs < 2:
        parser.error("--epochs must be 2 or more: the first one is told apart")
    options.patients.sort()
    return options


def configured(options: argparse.Namespace) -> Config:
    """The settings of the trainings; validation after every epoch."""
    tiny = TINY if options.size == "tiny" else ()
    common = ("preprocess.registration=centre", "validate_every=1")
    epochs = f"optimiser.epochs={options.epochs}"
    return with_settings(PRESETS["small"], (*tiny, *common, epochs, *options.settings))


def make_store(folder: Path, n_patients: int, n_made: int, config: Config) -> Path:
    """A store of so many patients, of which `n_made` at most are not copies."""
    first = folder / "made"
    if not first.is_dir():
        make_cohort(folder / "phantoms", PhantomSettings(n_patients=n_made, seed=0), workers=2)
        cases = read_manifest(folder / "phantoms" / "manifest.csv")
        preprocess_cohort(cases, first, config, workers=2)
    made, store = Store(first), folder / f"store-{n_patients}"
    originals = made.cohort.cases
    copies = [copied(made, store, originals[i % len(originals)], i) for i in range(n_patients)]
    cohort = made.cohort.model_copy(update={"cases": tuple(copies), "failed": ()})
    write_cohort(store, Cohort.model_validate(cohort.model_dump()))
    return store


def copied(made: Store, store: Path, original: StoredCase, number: int) -> StoredCase:
    """A stored case once more, as another patient's."""
    name = f"patient-{number:05d}"
    case = original.model_copy(update={"case_id": name, "patient_id": name})
    target = case_folder(store, name)
    shutil.copytree(case_folder(made.folder, original.case_id), target)
    record = read_record(made.folder, original.case_id).model_copy(update={"case": case})
    write_json(target / "case.json", record.model_dump(mode="json"))
    return case


def no_sync(store: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Train on a store in a process of its own."""
    drop_from_cache(store)
    command = [sys.executable, __file__, "--store", str(store), "--size", options.size]
    command += ["--epochs", str(options.epochs)]
    command += [word for setting in options.settings for word in ("--set", setting)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def drop_from_cache(folder: Path) -> None:
    """Ask the system to forget the files' contents, so that they are read from disk."""
    if not hasattr(os, "posix_fadvise"):
        return
    for path in folder.rglob("*.b2nd"):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(handle)


def measured(folder: Path, config: Config) -> dict[str, Any]:
    """Open, split, train: seconds and memory of each."""
    open_ms = milliseconds(lambda: Store(folder))
    store = Store(folder)
    cases = store.cohort.cases
    split_ms = milliseconds(lambda: make_split(cases, k=0, seed=0))
    split = make_split(cases, k=0, seed=0)
    start = peak_mib()
    ends: list[tuple[float, float, dict[str, Any]]] = []
    peaks: list[float] = []

    def listener(event: Step | EpochEnd) -> None:
        if isinstance(event, EpochEnd):
            ends.append((time.perf_counter(), time.process_time(), event.record))
            peaks.append(peak_mib())

    with tempfile.TemporaryDirectory() as run:
        train(store, Path(run), config, split, listener=listener)
    later = list(pairwise(ends))
    return {
        "patients": len(cases),
        "trained": len(split.train),
        "epochs_s": [round(this[0] - last[0], 3) for last, this in later],
        "cpu_s": [round(this[1] - last[1], 3) for last, this in later],
        "waited_s": [record["waited"] for _, _, record in ends[1:]],
        "first_epoch_s": ends[0][2]["seconds"],
        "start_mib": start,
        "peaks_mib": peaks,
        "open_ms": open_ms,
        "split_ms": split_ms,
    }


def milliseconds(step: Callable[[], object]) -> float:
    """Median of five."""
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - started)
    return round(1000 * median(seconds), 1)


def peak_mib() -> float:
    """Largest resident memory of this process so far.

    Linux' VmHWM where there is one: the `ru_maxrss` of a process counts its parent's as well.
    """
    status = Path("/proc/self/status")
    for line in status.read_text().splitlines() if status.is_file() else []:
        if line.startswith("VmHWM:"):
            return round(int(line.split()[1]) / 1024, 1)
    return round(1024 * peak_gib(), 1)


def middle(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The rounds of one size as one row: medians, and the largest memory."""
    n = runs[0]["patients"]
    epochs, cpu, waited = (
        [s for run in runs for s in run[key]] for key in ("epochs_s", "cpu_s", "waited_s")
    )
    medians = ("first_epoch_s", "start_mib", "open_ms", "split_ms")
    return {
        "patients": n,
        "trained": runs[0]["trained"],
        "epoch_s": round(median(epochs), 2),
        "ms_a_patient": round(1000 * median(epochs) / n, 2),
        "cpu_ms_a_patient": round(1000 * median(cpu) / n, 2),
        "waited": round(sum(waited) / sum(epochs), 4),
        **{key: round(median(run[key] for run in runs), 1) for key in medians},
        "peak_mib": max(run["peaks_mib"][-1] for run in runs),
        "all_epochs_s": epochs,
        "all_cpu_s": cpu,
        "peaks_mib": [run["peaks_mib"] for run in runs],
    }


def summary(rows: list[dict[str, Any]], options: argparse.Namespace) -> dict[str, Any]:
    """The rows with the ratios of the last to the first."""

    def ratio(key: str) -> float:
        return round(rows[-1][key] / rows[0][key], 3)

    return {
        "benchmark": "scaling",
        "size": options.size,
        "settings": options.settings,
        "made": options.made,
        "ratio": ratio("cpu_ms_a_patient"),
        "ratio_wall": ratio("ms_a_patient"),
        "ratio_memory": ratio("peak_mib"),
        "rows": rows,
        "load": [round(value, 1) for value in os.getloadavg()],
        "machine": machine(),
        "versions": versions(),
    }


def table(found: dict[str, Any]) -> str:
    """Rows of sizes, and the ratios."""
    lines = [
        f"scaling ({found['size']}, {found['made']} phantoms and copies of them): "
        f"{found['machine']}; load {found['load'][0]}",
        "".join(f"{title:>15}" for title in COLUMNS.values()),
        *("".join(f"{row[key]:>15}" for key in COLUMNS) for row in found["rows"]),
        f"largest to smallest, a patient: processor's time {found['ratio']:.2f}, wall time "
        f"{found['ratio_wall']:.2f}; peak memory {found['ratio_memory']:.2f}",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
