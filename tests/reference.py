"""Training whose losses tests/frozen/0c0a00c/losses.json keeps; as a program, it prints them."""

import json
import sys
import tempfile
from pathlib import Path

from old_cohort import write_old_store
from plgg import api
from plgg.data.split import make_split
from plgg.data.store import Store
from plgg.train.run import train

SMALL = ("optimiser.epochs=1", "precision=fp32", "loss.gradients_every=2")
NARROW = (
    "optimiser.epochs=2",
    "precision=fp32",
    "optimiser.learning_rate=0.001",
    "model.init_filters=8",
    "patches.size=[48,48,40]",
)
PAPER = ("optimiser.epochs=1", "precision=fp32", "patches.batch=1", "validate_every=1")
# Preset, arm, settings, spacing and box of the cohort.
TRAINED = {
    "small-multitask": ("small", "multitask", SMALL, 2.0, (40, 48, 36)),
    "small-single": ("small", "single", SMALL, 2.0, (40, 48, 36)),
    "narrow-paper": ("paper", "multitask", NARROW, 1.0, (48, 56, 40)),
    "paper": ("paper", "multitask", PAPER, 1.0, (64, 72, 56)),
}


def losses_of(name, folder):
    """Losses of every epoch, of the steps and of validation, as `metrics.jsonl` has them."""
    preset, arm, settings, spacing_mm, shape = TRAINED[name]
    cohort = Store(write_old_store(folder / "store", spacing_mm=spacing_mm, shape=shape))
    config = api.configure(preset, arm=arm, settings=settings)
    train(cohort, folder / "run", config, make_split(cohort.cohort.cases, k=0, seed=config.seed))
    lines = (folder / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    epochs = [json.loads(line) for line in lines]
    kept = ("train", "gradients", "validation")
    return [{key: epoch[key] for key in kept if key in epoch} for epoch in epochs]


if __name__ == "__main__":
    names = sys.argv[1:] or list(TRAINED)
    found = {}
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            found[name] = losses_of(name, Path(folder))
    print(json.dumps(found, indent=2))  # noqa: T201
