"""Training to equal Dice: minutes of the processor that presets need until validation says so.

    OMP_NUM_THREADS=1 python benchmarks/equal_dice.py best=STORE small=STORE --dice 0.7 --minutes 5

Each preset trains on a store of its own grid, made from one manifest, on the same split. After
every `--every` epochs the validation patients are predicted; the clock, which counts training
alone, stops where their mean Dice reaches `--dice`, or after `--minutes`. The presets are trained
in turn; the first is compared with the others.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from plgg.config import preset, with_settings
from plgg.core.environment import machine
from plgg.core.errors import ConfigError
from plgg.data.run_folder import start_run
from plgg.data.split import Split, make_split
from plgg.data.store import Store
from plgg.train.run import Trainer


def main() -> None:
    """Train the presets in turn and print a row each, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("presets", nargs="+", metavar="PRESET=STORE")
    parser.add_argument("--dice", type=float, default=0.7, help="mean of the validation patients")
    parser.add_argument("--minutes", type=float, default=5.0, help="of the processor, a preset")
    parser.add_argument("--every", type=int, default=1, help="epochs between validations")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    stores = {name: Store(Path(folder)) for name, folder in map(_pair, options.presets)}
    split = common_split(list(stores.values()), options.seed)
    with tempfile.TemporaryDirectory() as folder:
        rows = {
            name: trained(name, store, split, Path(folder) / name, options)
            for name, store in stores.items()
        }
    found = {"dice": options.dice, "presets": rows, "machine": machine()} | ratios(rows)
    print(json.dumps(found, indent=2) if options.json else table(found))


def _pair(text: str) -> tuple[str, str]:
    name, _, folder = text.partition("=")
    return name, folder


def common_split(stores: list[Store], seed: int) -> Split:
    """One split for all; refused where the stores hold other cases.

    Raises:
        ConfigError: If they do.
    """
    first, *others = stores
    for other in others:
        if set(other.by_id) != set(first.by_id):
            raise ConfigError(
                "holds other cases than the first store",
                where=other.folder,
                remedy="Preprocess both from one manifest.",
            )
    return make_split(first.cohort.cases, k=0, seed=seed)


def trained(
    name: str, store: Store, split: Split, run: Path, options: argparse.Namespace
) -> dict[str, Any]:
    """Minutes and Dice of one preset, trained as it stands, outline alone."""
    config = with_settings(preset(name), ["arm=single", "precision=fp32", *options.set])
    config = config.model_copy(update={"seed": options.seed})
    config = config.model_copy(update={"preprocess": store.cohort.settings})
    start_run(run, config, split.model_dump(mode="json"), store=store.folder)
    trainer = Trainer(store, run, config, split, workers=1)
    course: list[tuple[float, float]] = []
    spent = 0.0
    for epoch in range(1, config.optimiser.epochs + 1):
        began = time.process_time()
        trainer._set_rate(epoch)  # noqa: SLF001 - the loop of a run, with the clock in it
        trainer.train_one_epoch(epoch)
        spent += time.process_time() - began
        out_of_time = spent >= 60 * options.minutes
        if epoch % options.every == 0 or out_of_time or epoch == config.optimiser.epochs:
            dice = validation_dice(trainer)
            course.append((round(spent / 60, 3), round(dice, 4)))
            if dice >= options.dice or out_of_time:
                break
    reached = course[-1][1] >= options.dice
    return {"minutes": course[-1][0] if reached else None, "epochs": epoch, "course": course}


def validation_dice(trainer: Trainer) -> float:
    """Mean Dice of the validation patients by the averaged weights, as a run has it."""
    from plgg.data.inputs import Inputs
    from plgg.train.validate import validate

    scores = validate(
        trainer.evaluation_network(),
        trainer.store,
        trainer.split.validation,
        runtime=trainer.runtime,
        settings=trainer.config.inference,
        tasks={},
        inputs=Inputs.of(trainer.config),
    )
    return float(scores["dice"] or 0.0)


def ratios(rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Minutes of each further preset over those of the first; a bound where one ran out of time."""
    (first, own), *others = rows.items()
    if own["minutes"] is None:
        return {"ratios": {}, "note": f"{first} did not reach the Dice"}
    return {
        "ratios": {
            f"{name}/{first}": round((row["minutes"] or row["course"][-1][0]) / own["minutes"], 2)
            for name, row in others
        },
        "at_least": [name for name, row in others if row["minutes"] is None],
    }


def table(found: dict[str, Any]) -> str:
    """The rows as text."""
    lines = [
        f"minutes of the processor to a validation Dice of {found['dice']} ({found['machine']})"
    ]
    for name, row in found["presets"].items():
        told = "not reached" if row["minutes"] is None else f"{row['minutes']:.2f} min"
        minutes, dice = row["course"][-1]
        lines.append(f"{name:<8}{told:>14}  {row['epochs']} epochs, Dice {dice} at {minutes} min")
    bound = set(found.get("at_least", ()))
    for name, ratio in found["ratios"].items():
        lines.append(f"{name}: {'at least ' if name.split('/')[0] in bound else ''}{ratio}")
    return "\n".join([*lines, *([found["note"]] if "note" in found else [])])


if __name__ == "__main__":
    main()
