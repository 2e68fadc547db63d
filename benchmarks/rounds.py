"""Rounds of learning from corrections, simulated on a real cohort: which cases to correct first.

A model of `--start` patients answers; each round, `--size` of the other patients are chosen by a
strategy of `plgg serve`, their true masks stand for corrected ones, and `plgg.api.fine_tune` learns
from all that were corrected so far, every third held out. After each round the model in force is
tested on the test patients of split 0 of the cohort, the same ones for all strategies, which start
from the same model. A further seed draws other patients to start with and other test patients.

The store must have been made by `plgg preprocess MANIFEST STORE --preset best`, and the scans and
masks that its manifest names must still be there; they are not preprocessed again. What is finished
is kept: repeat the command to go on, or with `--only-table` to print what there is. With
`--without-store` the first patients are not at hand in the rounds, as those of a model that is
installed. Run:
    OMP_NUM_THREADS=1 nice -n 19 python benchmarks/rounds.py MANIFEST STORE OUT
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np

from plgg import api
from plgg.config import Config
from plgg.core.files import write_json
from plgg.core.output import ROUND, STORE, output_folder
from plgg.core.progress import Silent
from plgg.data.manifest import Case, read_manifest, write_manifest
from plgg.data.nifti.image import read_volume
from plgg.data.result import read_result
from plgg.data.split import Split, make_split
from plgg.data.store import Store, case_folder, is_store
from plgg.data.store_writing import write_cohort
from plgg.experiment.scoring import score_run
from plgg.predict.options import PredictOptions
from plgg.serve.strategies import STRATEGIES
from plgg.serve.views import certainty
from plgg.train.run import train

# Of the patients of the start, every fifth chooses the threshold.
_VALIDATION = 5
EVERY = 3


def main() -> None:
    """Simulate what is not there yet, then print the table."""
    options = parse()
    for seed in range(options.seeds):
        if not options.only_table:
            simulate(options, seed)
    print(table(results(options.out)))


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifest", type=Path)
    parser.add_argument("store", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--start", type=int, default=20, help="patients of the first model")
    parser.add_argument("--size", type=int, default=10, help="patients corrected in a round")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--strategies", nargs="+", choices=[*STRATEGIES], default=[*STRATEGIES])
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings")
    parser.add_argument(
        "--without-store", action="store_true", help="as of a model whose patients are not at hand"
    )
    parser.add_argument("--only-table", action="store_true")
    return parser.parse_args()


def simulate(options: argparse.Namespace, seed: int) -> None:
    """All strategies, round by round, so that what there is of each is as far."""
    whole, folder = Store(options.store), options.out / f"seed-{seed}"
    test = make_split(whole.cohort.cases, k=seed, seed=0).test
    rest = sorted({*whole.by_id} - {*test})
    order = [rest[i] for i in np.random.default_rng(seed).permutation(len(rest))]
    start, pool = order[: options.start], order[options.start :]
    config = api.configure("best", seed=seed, settings=["patches.per_case=16", *options.settings])
    first = Start(whole, folder, test)
    first.train(start, config)
    for number in range(1, options.rounds + 1):
        for strategy in options.strategies:
            one = Simulation(first, strategy, pool, options, seed)
            one.round(number)


class Start:
    """The model of the first patients, and the test patients.

    Args:
        whole: The store of the cohort.
        folder: Where everything of this seed lies.
        test: Names of the test patients' scans.
    """

    def __init__(self, whole: Store, folder: Path, test: Sequence[str]) -> None:
        self.whole, self.folder = whole, folder
        self.test = substore(whole, folder / "test", test)
        self.model, self.store = folder / "model", folder / "start"

    def train(self, names: Sequence[str], config: Config) -> None:
        """Train and calibrate it, and test it: round 0 of every strategy."""
        own = substore(self.whole, self.store, names)
        split = Split(
            train=tuple(sorted(set(names) - set(names[::_VALIDATION]))),
            validation=tuple(sorted(names[::_VALIDATION])),
            test=(),
            k=0,
            seed=config.seed,
        )
        train(own, self.model, config, split)
        score_run(own, self.model, split, Silent(), label="start", parts=("validation",))
        record(self.folder / "start.json", {"dice": self.tested(self.model, "tested-start")})

    def tested(self, model: Path, name: str) -> list[float]:
        """Dice of each test patient."""
        return list(dice(model, self.test, self.folder / name).values())


class Simulation:
    """One strategy.

    Args:
        first: The start.
        strategy: One of those of `plgg serve`.
        pool: Scans that may be corrected.
        options: The command line.
        seed: Of the random choice.
    """

    def __init__(
        self,
        first: Start,
        strategy: str,
        pool: Sequence[str],
        options: argparse.Namespace,
        seed: int,
    ) -> None:
        self.first, self.strategy, self.pool = first, strategy, pool
        self.options, self.seed = options, seed
        self.folder = first.folder / strategy
        self.cases = {case.case_id: case for case in read_manifest(options.manifest)}

    def round(self, number: int) -> None:
        """Choose, correct, learn, test; nothing that is there already."""
        if self.path(number).is_file():
            return
        before = [json.loads(self.path(n).read_text()) for n in range(1, number)]
        corrected = [name for one in before for name in one["chosen"]]
        model = self.model(before)
        chosen = self.chosen(model, corrected, number)
        found = self.learn(model, [*corrected, *chosen], number)
        record(self.path(number), {"chosen": chosen, **found})

    def path(self, number: int) -> Path:
        """Where a round is recorded."""
        return self.folder / f"{number}.json"

    def model(self, before: Iterable[dict[str, Any]]) -> Path:
        """The model in force: that of the newest accepted round."""
        accepted = [n for n, one in enumerate(before, start=1) if one["accepted"]]
        return self.folder / f"round-{accepted[-1]}" / "run" if accepted else self.first.model

    def chosen(self, model: Path, corrected: Sequence[str], number: int) -> list[str]:
        """The scans that this strategy corrects next."""
        left = [name for name in self.pool if name not in corrected]
        if self.strategy == "random":
            order = np.random.default_rng((self.seed, number)).permutation(len(left))
            return [left[i] for i in order[: self.options.size]]
        store = substore(self.first.whole, self.folder / f"pool-{number}", left)
        predictions = self.folder / f"predicted-{number}"
        predict(model, store, predictions)
        scores = {name: score(self.strategy, predictions / name) for name in left}
        for folder in (predictions, store.folder):
            shutil.rmtree(folder)
        return sorted(left, key=lambda name: -scores[name])[: self.options.size]

    def learn(self, model: Path, corrected: Sequence[str], number: int) -> dict[str, Any]:
        """A round of learning from all that was corrected so far, then the test."""
        out = self.folder / f"round-{number}"
        manifest = self.folder / f"corrected-{number}.csv"
        write_manifest(manifest, [self.corrected(name) for name in corrected], scan_ids={})
        with output_folder(out, ROUND):
            substore(self.first.whole, out / "store", corrected)
        found = api.fine_tune(
            model,
            manifest,
            out,
            store=None if self.options.without_store else self.first.store,
            held_out=corrected[::EVERY],
            workers=0,
        )
        new = out / "run" if found.accepted else model
        tested = self.first.tested(new, f"tested-{self.strategy}-{number}")
        shutil.rmtree(out / "store")
        return {
            "accepted": found.accepted,
            "reason": found.reason,
            "n_training": found.n_training,
            "seconds": found.seconds,
            "dice": tested,
        }

    def corrected(self, name: str) -> Case:
        """The true mask stands for a corrected one; whoever corrects a mask knows no marker."""
        return replace(self.cases[name], marker=None)


def substore(whole: Store, out: Path, names: Sequence[str]) -> Store:
    """Some scans of a store, as a store."""
    if not is_store(out):
        with output_folder(out, STORE):
            for name in names:
                shutil.copytree(
                    case_folder(whole.folder, name), case_folder(out, name), dirs_exist_ok=True
                )
            cases = tuple(case for case in whole.cohort.cases if case.case_id in set(names))
            write_cohort(out, whole.cohort.model_copy(update={"cases": cases, "failed": ()}))
    return Store(out)


def predict(model: Path, store: Store, out: Path) -> None:
    """Predict all scans of a store."""
    outcomes = api.predict(
        [store.folder], out=out, model=model, options=PredictOptions(pages=False)
    )
    failed = [outcome.reason for outcome in outcomes if outcome.reason]
    if failed:
        raise SystemExit(f"{len(failed)} scans failed, the first: {failed[0]}")


def dice(model: Path, store: Store, out: Path) -> dict[str, float]:
    """Dice of each scan of a store on its native grid."""
    predict(model, store, out)
    rows = api.evaluate(out, store.folder, out=out / "evaluation").rows
    shutil.rmtree(out)
    return {row.case_id: float(row.dice or 0.0) for row in rows}


def score(strategy: str, folder: Path) -> float:
    """What `plgg serve` would choose by; larger is sooner."""
    result = read_result(folder / "result.json")
    if strategy == "entropy":
        maps = [read_volume(folder / f"{n}.nii.gz").data for n in ("probability", "uncertainty")]
        known = certainty(maps[0], maps[1])
        return 0.0 if known is None else 1.0 - known
    if strategy == "agreement":
        agreed = result.uncertainty.agreement
        return 0.0 if agreed is None else 1.0 - agreed
    return result.familiarity.value or 0.0 if result.familiarity else 0.0


def record(path: Path, found: dict[str, Any]) -> None:
    """Write once."""
    if not path.is_file():
        write_json(path, found)


def results(out: Path) -> dict[str, dict[int, list[dict[str, Any]]]]:
    """By strategy and round, what each seed found."""
    found: dict[str, dict[int, list[dict[str, Any]]]] = {name: {} for name in STRATEGIES}
    for seed in sorted(out.glob("seed-*")):
        if not (seed / "start.json").is_file():
            continue
        start = json.loads((seed / "start.json").read_text())
        for strategy, rounds in found.items():
            rounds.setdefault(0, []).append({**start, "accepted": True})
            for path in sorted((seed / strategy).glob("[0-9]*.json")):
                one = json.loads(path.read_text())
                rounds.setdefault(int(path.stem), []).append(one | {"start": start["dice"]})
    return found


def table(found: dict[str, dict[int, list[dict[str, Any]]]]) -> str:
    """Mean Dice of the test patients, the gain by patient ± its standard error, and rejections."""
    last = max((number for rounds in found.values() for number in rounds), default=0)
    lines = ["| round | " + " | ".join(found) + " |", "|---" * (len(found) + 1) + "|"]
    for number in range(last + 1):
        cells = [_cell(rounds.get(number, [])) for rounds in found.values()]
        lines.append(f"| {number} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(seeds: Sequence[dict[str, Any]]) -> str:
    if not seeds:
        return ""
    mean = fmean(value for one in seeds for value in one["dice"])
    if "start" not in seeds[0]:
        return f"{mean:.3f}"
    pairs = [pair for one in seeds for pair in zip(one["start"], one["dice"], strict=True)]
    gains = [after - before for before, after in pairs]
    error = stdev(gains) / len(gains) ** 0.5
    rejected = sum(not one["accepted"] for one in seeds)
    return f"{mean:.3f} ({fmean(gains):+.3f} ± {error:.3f})" + (" rejected" * bool(rejected))


if __name__ == "__main__":
    main()
