"""Runs the tests' experiment in a process of its own: `begin.py STORE OUT [local|ray [CORES]]`."""

import sys
from pathlib import Path

from plgg import api
from plgg.core.errors import PlggError
from plgg.experiment.options import Design, Workers
from runs import SHALLOW
from tiny import tiny_config

CONFIG = tiny_config(*SHALLOW, "optimiser.epochs=2")


def begin(store, out, **design):
    """Two splits, two arms."""
    return api.experiment(Path(store), Path(out), CONFIG, design=Design(2, **design))


if __name__ == "__main__":
    kind, cpus = [*sys.argv[3:], *("local", "1")[len(sys.argv) - 3 :]]
    try:
        done = begin(sys.argv[1], sys.argv[2], workers=Workers(kind, cpus=int(cpus)))
    except PlggError as error:
        sys.exit(str(error))
    sys.exit(1 if done.failed else 0)
