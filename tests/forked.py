"""The program `plgg` in a fork of this process, which has imported what its commands import.

Reads one command a line from its standard input and answers with its exit status. See `program.py`.
"""

import gc
import importlib
import json
import os
import sys
from contextlib import nullcontext

from shortcuts import PLAIN, plain_figures, without_syncs

ROOMS = (
    "cli.app", "evaluate.cohort", "experiment.demo", "experiment.run", "predict.scan",
    "report.case.page", "report.evaluation", "report.experiment.page", "train.run",
)  # fmt: skip
# Torch imports it when the first optimiser is made.
LATE = "torch._dynamo"


def be_ready():
    """Import what the commands import, and load what each would load anew: the atlas."""
    for module in (*(f"plgg.{room}" for room in ROOMS), LATE):
        importlib.import_module(module)
    importlib.import_module("plgg.data.atlas.atlas").load_atlas()
    # So that a child does not take all of this apart when it ends.
    gc.collect()
    gc.freeze()


def next_command():
    """The next command, in a child of its own; None in the end."""
    for line in sys.stdin:
        child = os.fork()
        if not child:
            return json.loads(line)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(status, flush=True)  # noqa: T201
    return None


def become(command):
    """Stand where the command was typed, and let its words and its output be the program's."""
    os.chdir(command["cwd"])
    os.environ.clear()
    os.environ.update(command["environment"])
    sys.argv = ["plgg", *command["words"]]
    nothing = os.open(os.devnull, os.O_RDONLY)
    out, err = (os.open(command[name], os.O_WRONLY | os.O_CREAT) for name in ("out", "err"))
    for made, standard in ((nothing, 0), (out, 1), (err, 2)):
        os.dup2(made, standard)
        os.close(made)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115


if __name__ == "__main__":
    be_ready()
    command = next_command()
    if command:
        become(command)
        from plgg.cli import main

        without_syncs()
        with plain_figures() if os.environ.get(PLAIN) else nullcontext():
            main()
