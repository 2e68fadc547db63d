"""Runs the tests' experiment in a process of its own: `begin.py STORE OUT`."""

import sys
from pathlib import Path

from plgg import api
from plgg.experiment import Design, Workers
from tiny import tiny_config

CONFIG = tiny_config("patches.size=[16,16,16]", "optimiser.epochs=2")


def begin(store, out, **design):
    """Two splits, two arms."""
    return api.experiment(Path(store), Path(out), CONFIG, design=Design(2, **design))


if __name__ == "__main__":
    kind = sys.argv[3] if len(sys.argv) > 3 else "local"
    done = begin(sys.argv[1], sys.argv[2], workers=Workers(kind))
    sys.exit(1 if done.failed else 0)
