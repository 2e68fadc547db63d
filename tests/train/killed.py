"""Script: start training runs and kill each without warning at a moment of its own.

Called as `killed.py STORE OUT`; leaves OUT/MOMENT/ behind for every moment in `MOMENTS`. Not a test
module: a kill needs a process of its own, and one import of torch has to do for all of them.
"""

import importlib
import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from plgg.core.progress import Step
from plgg.data.store import Store
from plgg.train.run import train
from runs import SHALLOW
from tiny import hand_split, tiny_config

# Killed before the n-th renaming of a file into this place; None: within the second epoch.
MOMENTS = {
    "first-best-without-meta": ("best.json", 1),
    "best-but-no-last": ("last-0001.safetensors", 1),
    "middle-of-an-epoch": None,
    "between-best-and-last": ("last-0002.safetensors", 1),
    "between-tensors-and-meta": ("last.json", 2),
}
SETTINGS = (*SHALLOW, "optimiser.clip_norm=5", "model.dropout=0.1")
VALIDATION = ("P00", "P01")


def begin(store, run, listener=None):
    """The run that is killed here and resumed elsewhere."""
    split = hand_split(store, validation=VALIDATION, test=())
    train(store, run, tiny_config(*SETTINGS), split, listener=listener)


def _kill():
    os.kill(os.getpid(), signal.SIGKILL)


def _kill_at_renaming(name, times):
    left = [times]

    def hook(event, arguments):
        if event == "os.rename" and Path(os.fspath(arguments[1])).name == name:
            left[0] -= 1
            if not left[0]:
                _kill()

    sys.addaudithook(hook)


def _in_second_epoch(event):
    if isinstance(event, Step) and (event.epoch, event.step) == (2, 1):
        _kill()


def main(store, out):
    # Torch imports it when the first optimiser is made: here, and not in each child.
    importlib.import_module("torch._dynamo")
    for name, moment in MOMENTS.items():
        child = os.fork()
        if not child:
            if moment:
                _kill_at_renaming(*moment)
            begin(Store(store), out / name, None if moment else _in_second_epoch)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGKILL:
            raise SystemExit(f"{name}: was not killed ({status})")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
