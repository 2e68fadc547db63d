"""Trains a tiny run in several processes: `together.py STORE RUN DEVICES key=value …`."""

import sys
from pathlib import Path

from plgg.data.store import Store
from plgg.train.distributed import join_process_group
from plgg.train.run import train
from runs import SHALLOW
from tiny import hand_split, tiny_config

SPLIT = {"validation": ("P00", "P01", "P04"), "test": ()}
SETTINGS = (
    *SHALLOW,
    "patches.batch=5",
    "optimiser.epochs=2",
    "model.dropout=0.2",
    "model.marker.dropout=0.3",
)


def main(store, run, devices, *settings):
    """Train with what is given on the command line."""
    cohort = Store(Path(store))
    team = join_process_group("fp32", devices=int(devices))
    config = tiny_config(*SETTINGS, *settings)
    train(cohort, Path(run), config, hand_split(cohort, **SPLIT), workers=1, group=team)


if __name__ == "__main__":
    main(*sys.argv[1:])
