"""A network that no memory holds is refused by a count, and nothing is taken for it."""

import pytest
import torch

from plgg.config import PRESETS, with_settings
from plgg.core.errors import CheckpointError, ConfigError
from plgg.model.checkpoint import network_of
from plgg.model.network import build_network
from plgg.train import out_of_memory as budget
from plgg.train.out_of_memory import n_parameters, require_memory

CPU = torch.device("cpu")
HUGE = (
    ["model.init_filters=1024", "patches.batch=1024"],
    ["patches.size=[1024,1024,1024]", "patches.batch=1024"],
    [
        "model.init_filters=1024",
        "model.blocks_down=[4,4,4,4,4,4]",
        "model.blocks_up=[4,4,4,4,4]",
        "patches.size=[128,128,128]",
    ],
)


@pytest.mark.parametrize("settings", HUGE)
def test_a_network_that_cannot_be_held_is_one_line(settings, monkeypatch):
    monkeypatch.setattr(budget, "memory_bytes", lambda device: 2**38)  # noqa: ARG005
    with pytest.raises(ConfigError, match=r"at least [\d.e+]+ GiB; there are 256 GiB"):
        require_memory(with_settings(PRESETS["paper"], settings), 3, CPU)


@pytest.mark.parametrize("name", PRESETS)
def test_the_presets_fit_a_small_computer(name, monkeypatch):
    monkeypatch.setattr(budget, "memory_bytes", lambda device: 2**31)  # noqa: ARG005
    require_memory(PRESETS[name], 10, CPU)


def test_the_count_is_that_of_the_network():
    config = with_settings(PRESETS["small"], ["model.init_filters=8"])
    network = build_network(config.model, n_classes=3, arm=config.arm, seed=0)
    assert n_parameters(config, 3) == sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("settings", [*HUGE, ["model.init_filters=16"]])
def test_tensors_are_held_against_the_network_before_it_is_built(settings):
    small = with_settings(PRESETS["small"], ["model.init_filters=8"])
    weights = build_network(small.model, n_classes=3, arm=small.arm, seed=0).state_dict()
    other = with_settings(small, settings)
    if other.model == small.model:
        assert network_of(other, 3, weights, where="w").state_dict().keys() == weights.keys()
        return
    with pytest.raises(CheckpointError, match="do not fit the network of the config"):
        network_of(other, 3, weights, where="w")
