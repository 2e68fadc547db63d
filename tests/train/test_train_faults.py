"""What goes wrong on a machine ends in one clear line and a run that can go on, to the same end."""

import math
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from plgg.core.errors import OutputError, RunError, StoreError
from plgg.data.run_folder import read_metrics
from plgg.model.checkpoint import load_checkpoint
from plgg.tasks.losses import task_losses
from plgg.train.gradients import TaskGradients
from plgg.train.run import train
from runs import SHALLOW
from tiny import SMALL_SHAPE, hand_split, tiny_config, tiny_store

SPLIT = {"validation": ("P00", "P01"), "test": ()}
SETTINGS = (*SHALLOW, "optimiser.epochs=3")


@pytest.fixture
def store(tmp_path):
    return tiny_store(tmp_path / "store", n=6, shape=SMALL_SHAPE)


def trained(store, run, *settings):
    train(store, run, tiny_config(*SETTINGS, *settings), hand_split(store, **SPLIT))


def assert_same_run(run, other):
    kept = ("epoch", "train", "validation", "learning_rate")
    ours, theirs = ([{k: r.get(k) for k in kept} for r in read_metrics(x)] for x in (run, other))
    assert ours == theirs
    shas = [load_checkpoint(x, "last").meta.sha256 for x in (run, other)]
    assert shas[0] == shas[1]


def at_step(number, fault):
    """A step that fails the n-th time that it is called, and works before and after."""
    calls = iter(range(1, 1000))
    step = TaskGradients.backward

    def failing(self, *args, **more):
        return fault() if next(calls) == number else step(self, *args, **more)

    return failing


def test_a_loss_that_is_no_number(store, tmp_path, monkeypatch):
    trained(store, tmp_path / "whole")
    calls = iter(range(1000))

    def poisoned(*args, **more):
        losses = task_losses(*args, **more)
        return {k: v * math.nan for k, v in losses.items()} if next(calls) == 3 else losses

    monkeypatch.setattr("plgg.train.gradients.task_losses", poisoned)
    with pytest.raises(RunError, match=r"the loss is nan in epoch 2.*resume from the last epoch"):
        trained(store, tmp_path / "run")
    assert len(read_metrics(tmp_path / "run")) == 1
    monkeypatch.undo()
    trained(store, tmp_path / "run")
    assert_same_run(tmp_path / "run", tmp_path / "whole")


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        ((), "execution.accumulate=2"),
        (("execution.accumulate=2",), "execution.checkpointing=true"),
        (("execution.accumulate=2", "execution.checkpointing=true"), "smaller patches.size"),
    ],
)
def test_a_device_without_memory(store, tmp_path, monkeypatch, settings, remedy):
    def full():
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(TaskGradients, "backward", at_step(4, full))
    with pytest.raises(RunError, match=f"memory ran out.*{remedy}"):
        trained(store, tmp_path / "run", *settings)
    # How it is computed may change; the run goes on.
    trained(store, tmp_path / "run", "execution.accumulate=2")
    assert len(read_metrics(tmp_path / "run")) == 3


HUNGRY = """
import resource, sys
sys.path.insert(0, sys.argv[3])
from pathlib import Path
import torch
from plgg.data.store import Store
from plgg.model.network import MultitaskNet
from plgg.train.run import train
from runs import SHALLOW
from tiny import hand_split, tiny_config

forward = MultitaskNet.forward
def limited(self, *given):
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + 2**24, now + 2**24))
    return forward(self, *given)
MultitaskNet.forward = limited
store = Store(Path(sys.argv[1]))
config = tiny_config("patches.size=[64,64,64]", "model.init_filters=32")
split = hand_split(store, validation=("P00", "P01"), test=())
try:
    train(store, Path(sys.argv[2]), config, split, workers=1)
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
def test_a_processor_without_memory(store, tmp_path):
    tests = str(Path(__file__).resolve().parents[1])
    command = [sys.executable, "-c", HUNGRY, store.folder, tmp_path / "run", tests]
    done = subprocess.run(command, capture_output=True, text=True, timeout=590)
    assert done.stdout.startswith("RunError"), done.stdout + done.stderr
    assert "memory ran out in a training step. Repeat the command with" in done.stdout


# More than the disk has left.
LARGER = ("model.blocks_down=[1,1,1,1]", "model.blocks_up=[1,1,1]")


def test_a_full_disk(store, tmp_path):
    trained(store, tmp_path / "whole", *LARGER)
    disk = tmp_path / "disk"
    disk.mkdir()
    mount, unmount = shutil.which("mount"), shutil.which("umount")
    options = ["-t", "tmpfs", "-o", "size=48m", "tmpfs", str(disk)]
    if not (mount and unmount) or subprocess.run([mount, *options], capture_output=True).returncode:
        pytest.skip("only root may mount a small disk")
    try:
        ballast = disk / "ballast"
        ballast.write_bytes(b"0" * (44 * 2**20))
        with pytest.raises(OutputError, match="No space left on device"):
            trained(store, disk / "run", *LARGER)
        assert not list((disk / "run").rglob(".*.safetensors"))
        ballast.unlink()
        trained(store, disk / "run", *LARGER)
        assert_same_run(disk / "run", tmp_path / "whole")
    finally:
        subprocess.run([unmount, str(disk)], check=True)


def test_a_corrupt_store_entry(store, tmp_path):
    trained(store, tmp_path / "whole")
    image = store.folder / "cases" / "P03" / "image.b2nd"
    good = image.read_bytes()
    image.write_bytes(good[: len(good) // 2])
    with pytest.raises(StoreError, match=r"P03.*Preprocess again"):
        trained(store, tmp_path / "run")
    image.write_bytes(good)
    trained(store, tmp_path / "run")
    assert_same_run(tmp_path / "run", tmp_path / "whole")
