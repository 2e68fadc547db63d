"""A batch may be dealt out to pieces and to processes: the loss and the gradients stay the same."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import together
import torch

from plgg.core.errors import ConfigError
from plgg.data.run_folder import read_metrics
from plgg.model.checkpoint import load_checkpoint
from tiny import SMALL_SHAPE, tiny_config, tiny_store

SCRIPT = Path(together.__file__)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    return tiny_store(folder, n=11, shape=SMALL_SHAPE, no_mask=("P02", "P05"), no_marker=("P03",))


@pytest.fixture(scope="module")
def alone(store, tmp_path_factory):
    """The run of one process, each batch in one piece."""
    run = tmp_path_factory.mktemp("alone") / "run"
    together.main(store.folder, run, 1)
    return run


def assert_same_numbers(run, other):
    """Equal but for the order in which sums were taken."""
    for one, two in zip(read_metrics(run), read_metrics(other), strict=True):
        assert set(one) == set(two)
        for name in {"train", "gradients", "validation", "weights"} & set(one):
            assert one[name] == pytest.approx(two[name], rel=1e-3, abs=1e-4), name
        assert one["train"]["loss"] == pytest.approx(two["train"]["loss"], rel=1e-5)
    ours, theirs = load_checkpoint(run, "last").tensors, load_checkpoint(other, "last").tensors
    assert set(ours) == set(theirs)
    for name, value in ours.items():
        # Adam's first steps go by the sign of a gradient, so noise shows where it is near zero.
        close = torch.isclose(value, theirs[name], rtol=1e-2, atol=1e-4).float().mean()
        assert close > 0.99, name


@pytest.mark.parametrize("pieces", [2, 3, 5])
def test_accumulation_is_the_whole_batch(store, alone, tmp_path, pieces):
    together.main(store.folder, tmp_path / "run", 1, f"execution.accumulate={pieces}")
    assert_same_numbers(tmp_path / "run", alone)


def test_checkpointing_is_the_same(store, alone, tmp_path):
    together.main(store.folder, tmp_path / "run", 1, "execution.checkpointing=true")
    assert_same_numbers(tmp_path / "run", alone)


def test_measuring_gradients_changes_nothing(store, alone, tmp_path):
    together.main(store.folder, tmp_path / "run", 1, "loss.gradients_every=1")
    for one, two in zip(read_metrics(tmp_path / "run"), read_metrics(alone), strict=True):
        assert one["train"] == pytest.approx(two["train"], rel=1e-5)
        assert -1 <= one["gradients"]["cosine"] <= 1
        assert min(one["gradients"][task] for task in ("segmentation", "marker")) > 0


def in_processes(*command):
    paths = os.pathsep.join([str(SCRIPT.parent), str(SCRIPT.parent.parent)])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, *command], check=True, env=environment, timeout=590)


def test_two_processes_are_one(store, alone, tmp_path):
    """Pieces as well: 5 patches over 4 places leave one process with a is_padding one."""
    in_processes(SCRIPT, store.folder, tmp_path / "run", "2", "execution.accumulate=2")
    assert_same_numbers(tmp_path / "run", alone)


@pytest.mark.slow
def test_a_process_without_a_patch_of_its_own_keeps_step(store, tmp_path):
    """Eight patients in batches of seven: the last batch is one patch for two processes."""
    together.main(store.folder, tmp_path / "alone", 1, "patches.batch=7")
    in_processes(SCRIPT, store.folder, tmp_path / "run", "2", "patches.batch=7")
    assert_same_numbers(tmp_path / "run", tmp_path / "alone")


@pytest.mark.slow
def test_torchrun_starts_them_as_well(store, alone, tmp_path):
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    in_processes(*launcher, SCRIPT, store.folder, tmp_path / "run", "1")
    assert_same_numbers(tmp_path / "run", alone)


def test_dice_over_the_batch_needs_it_whole():
    with pytest.raises(ConfigError, match="accumulate=1"):
        tiny_config("loss.dice_over=batch", "execution.accumulate=2")
