"""Every way of weighing the tasks trains a network, and a run that was stopped goes on with it."""

import math
import shutil

import pytest

from plgg.core.progress import Step
from plgg.data.run_folder import read_metrics
from plgg.model.checkpoint import load_checkpoint
from plgg.tasks.weighting.build import WEIGHTINGS
from plgg.train.run import train
from runs import SHALLOW
from tiny import SMALL_SHAPE, hand_split, tiny_config, tiny_store

TIMES = {"seconds", "waited"}
ADAPTED = {"proportional", "uncertainty", "dwa", "gradnorm"}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """With batches of one, of which some know no marker and one knows no mask."""
    return tiny_store(
        tmp_path_factory.mktemp("store"),
        n=5,
        shape=SMALL_SHAPE,
        no_marker=("P01",),
        no_mask=("P02",),
    )


def begin(store, run, name, listener=None):
    settings = (*SHALLOW, "patches.batch=1", f"loss.weighting={name}")
    config = tiny_config(*settings, "validate_every=3")
    split = hand_split(store, validation=("P00",), test=())
    train(store, run, config, split, listener=listener)


def numbers(run):
    return [{k: v for k, v in record.items() if k not in TIMES} for record in read_metrics(run)]


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_every_scheme_trains_and_resumes_to_the_same_numbers(store, tmp_path, name):
    def keep(event):
        # As a kill in the third epoch would leave it.
        if isinstance(event, Step) and (event.epoch, event.step) == (3, 2):
            shutil.copytree(tmp_path / "whole", tmp_path / "killed")

    begin(store, tmp_path / "whole", name, keep)
    whole = numbers(tmp_path / "whole")
    assert numbers(tmp_path / "killed") == whole[:2]
    begin(store, tmp_path / "killed", name)
    assert numbers(tmp_path / "killed") == whole
    hashes = {load_checkpoint(tmp_path / run, "last").meta.sha256 for run in ("whole", "killed")}
    assert len(hashes) == 1
    assert len(whole) == 3
    for record in whole:
        assert all(math.isfinite(value) for value in record["train"].values())
        assert all(math.isfinite(value) for value in record.get("gradients", {}).values())
    weights = [record["weights"]["marker"] for record in whole]
    assert min(weights) > 0.0
    assert (len(set(weights)) > 1) == (name in ADAPTED)
