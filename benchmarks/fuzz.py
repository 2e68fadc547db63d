"""Try damaged NIfTI, DICOM, zips, tables and JSON: each ends in a result or in one clear line.

    python benchmarks/fuzz.py [--n 10000] [--seed 0] [--jobs 1] [--only PATTERN] [--keep FOLDER]

Violations are: an exception that is no refusal, a refusal that is not one line or says no remedy,
an input that takes over a minute, a file outside the working folder written, changed or removed, a
connection, a program started, a process that dies, memory over the budget. Images are read under a
budget of 64 MiB. A process may take 320 MiB more at its peak than after the first tenth of its
inputs: five times the budget, for the packed bytes, the unpacked ones, the scan and its copies.
Prints a table; ends with status 1 if there is a violation.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from fuzzing.kinds import APART, KINDS, Trial, trial
from fuzzing.nifti import LIMIT_BYTES

SHARES = {
    "NIfTI": 0.44, "DICOM": 0.12, "zip": 0.1, "CSV": 0.26, "JSON of stores": 0.05,
    "JSON of runs": 0.03,
}  # fmt: skip
"""Of all inputs; fewer where one takes longer."""
GROWTH_MIB = 5 * LIMIT_BYTES / 2**20
AT_ONCE = 500
"""Inputs of one process."""

Part = tuple[str, int, int]
"""A kind, the first number, how many."""


def main() -> int:
    """Print the table; 1 if there is a violation."""
    options = _options()
    if options.part:
        kind, first, count = options.part
        numbers = range(int(first), int(first) + int(count))
        print(json.dumps(asdict(trial(kind, numbers, keep=options.keep))))
        return 0
    kinds = [kind for kind in KINDS if re.search(options.only, kind, re.IGNORECASE)]
    found = tried(parts(kinds, options.n, options.seed), options.jobs, options.keep)
    print_table(summed(found, kinds))
    violations = [line for one in found for line in one.violations]
    for line in violations:
        print(line)
    return 1 if violations else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--n", type=int, default=10_000, help="inputs of all kinds together")
    parser.add_argument("--seed", type=int, default=0, help="another gives other inputs")
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time")
    parser.add_argument("--only", default="", help="kinds whose name fits this pattern")
    parser.add_argument("--keep", type=_folder, help="folder for the files of each violation")
    parser.add_argument("--part", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args()


def _folder(text: str) -> Path:
    return Path(text).resolve()


def parts(kinds: Iterable[str], n: int, seed: int) -> list[Part]:
    """Which inputs each process tries."""
    chosen = list(kinds)
    whole = sum(SHARES[kind] for kind in chosen)
    found: list[Part] = []
    for kind in chosen:
        count = math.ceil(round(n * SHARES[kind] / whole, 6))
        found += [
            (kind, seed * APART + first, min(AT_ONCE, count - first))
            for first in range(0, count, AT_ONCE)
        ]
    return found


def tried(wanted: list[Part], jobs: int, keep: Path | None) -> list[Trial]:
    """Every part, in a process of its own."""
    found = []
    with Progress(console=Console(stderr=True)) as bar, ThreadPoolExecutor(jobs) as pool:
        task = bar.add_task("damaged inputs", total=sum(count for _, _, count in wanted))
        running = {pool.submit(tried_alone, part, keep): part for part in wanted}
        for done in as_completed(running):
            found.append(done.result())
            for line in found[-1].violations:
                bar.console.print(line, markup=False)
            bar.advance(task, running[done][2])
    return found


def tried_alone(part: Part, keep: Path | None) -> Trial:
    """One part, in a process that may die of it."""
    command = [sys.executable, __file__, "--part", *map(str, part)]
    command += ["--keep", str(keep)] if keep else []
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        ended = f"the process ended with status {done.returncode}"
        return Trial(part[0], violations=[f"{part[0]} {part[1]}: {ended}: {last}"])
    return within_budget(Trial(**json.loads(done.stdout.strip().splitlines()[-1])), part[1])


def within_budget(found: Trial, first: int) -> Trial:
    """The trial, with a violation more if its memory grew too much."""
    if found.grown_mib > GROWTH_MIB:
        grown = f"memory grew by {found.grown_mib:.0f} MiB, over {GROWTH_MIB:.0f}"
        found.violations.append(f"{found.kind} {first}: {grown}")
    return found


def summed(found: Iterable[Trial], kinds: Iterable[str]) -> list[Trial]:
    """One trial a kind."""
    every = list(found)
    return [_sum(kind, [one for one in every if one.kind == kind]) for kind in kinds]


def _sum(kind: str, trials: list[Trial]) -> Trial:
    return Trial(
        kind,
        results=sum(one.results for one in trials),
        refusals=sum(one.refusals for one in trials),
        violations=[line for one in trials for line in one.violations],
        peak_mib=max(one.peak_mib for one in trials),
        grown_mib=max(one.grown_mib for one in trials),
        seconds=sum(one.seconds for one in trials),
    )


def print_table(kinds: list[Trial]) -> None:
    """A row a kind, and their sum."""
    print("| kind | inputs | results | refusals | violations | peak MiB | grown MiB | s |")
    print("|---|---|---|---|---|---|---|---|")
    for one in [*kinds, _sum("all", kinds)]:
        violations = len(one.violations)
        numbers = (one.results + one.refusals + violations, one.results, one.refusals, violations)
        measured = f"{one.peak_mib:.0f} | {one.grown_mib:.0f} | {one.seconds:.0f}"
        print(f"| {one.kind} | {' | '.join(map(str, numbers))} | {measured} |")


if __name__ == "__main__":
    sys.exit(main())
