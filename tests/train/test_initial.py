"""Weights from another run, and their running average."""

import shutil

import pytest
import torch

from plgg.config import preset, with_settings
from plgg.core.errors import CheckpointError, ConfigError
from plgg.data.run_folder import read_config, read_metrics
from plgg.model.batch_norm import has_moments, refresh_moments
from plgg.model.checkpoint import load_checkpoint
from plgg.model.network import build_network
from plgg.train import run as run_module
from plgg.train.optimisation import Average
from plgg.train.run import Trainer, train
from tiny import SMALL_SHAPE, hand_split, tiny_config, tiny_store

SPLIT = {"validation": ("P00", "P01"), "test": ()}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tiny_store(tmp_path_factory.mktemp("store"), n=6, shape=SMALL_SHAPE)


def trained(store, run, *settings):
    config = tiny_config("patches.size=[16,16,16]", "optimiser.epochs=1", *settings)
    train(store, run, config, hand_split(store, **SPLIT))
    return load_checkpoint(run, "last").tensors


def interrupt(store, run, epoch, *settings):
    """Train until the end of an epoch, and no further."""

    def stop(event):
        if getattr(event, "record", {}).get("epoch") == epoch:
            raise KeyboardInterrupt

    config = tiny_config("patches.size=[16,16,16]", *settings)
    with pytest.raises(KeyboardInterrupt):
        train(store, run, config, hand_split(store, **SPLIT), listener=stop)


@pytest.fixture(scope="module")
def first(store, tmp_path_factory):
    run = tmp_path_factory.mktemp("first") / "run"
    trained(store, run, "optimiser.epochs=2")
    return run


def test_a_run_starts_where_the_other_was_best(store, first, tmp_path):
    trained(store, tmp_path / "second", f"init.run={first}", "optimiser.learning_rate=1e-9")
    ours, theirs = (load_checkpoint(run).tensors for run in (tmp_path / "second", first))
    for name, value in theirs.items():
        if name.startswith("model.backbone"):
            torch.testing.assert_close(ours[name], value, rtol=1e-4, atol=1e-6)
    init = read_config(tmp_path / "second").init
    assert init.sha256 == load_checkpoint(first).meta.sha256


def test_frozen_stages_stay_as_they_were(store, first, tmp_path):
    ours = trained(store, tmp_path / "run", f"init.run={first}", "init.frozen_stages=2")
    theirs = load_checkpoint(first).tensors
    stays = [n for n in theirs if "convInit" in n or "down_layers.0" in n or "down_layers.1" in n]
    moves = [n for n in theirs if "down_layers.2" in n]
    assert stays
    assert all(torch.equal(ours[name], theirs[name]) for name in stays)
    assert not all(torch.equal(ours[name], theirs[name]) for name in moves)


def test_a_head_that_is_not_there_starts_anew_and_is_named(store, tmp_path, caplog):
    trained(store, tmp_path / "one", "arm=single")
    trained(store, tmp_path / "two", f"init.run={tmp_path / 'one'}")
    assert "marker: new, not taken from" in caplog.text


def test_another_body_is_refused(store, first, tmp_path):
    with pytest.raises(ConfigError, match="another body"):
        trained(store, tmp_path / "run", f"init.run={first}", "model.init_filters=16")


def test_no_run_is_refused(store, tmp_path):
    with pytest.raises(CheckpointError, match="no checkpoint"):
        trained(store, tmp_path / "run", f"init.run={tmp_path / 'nowhere'}")


def test_damaged_weights_are_refused_before_a_folder_is_made(store, first, tmp_path):
    damaged = tmp_path / "damaged"
    shutil.copytree(first, damaged)
    (tensors,) = (damaged / "checkpoints").glob("best-*.safetensors")
    tensors.write_bytes(tensors.read_bytes()[:-100])
    with pytest.raises(CheckpointError):
        trained(store, tmp_path / "run", f"init.run={damaged}")
    assert not (tmp_path / "run").exists()


def test_the_average_is_kept_and_resumed(store, tmp_path):
    settings = ("optimiser.ema=0.9", "optimiser.epochs=3")
    whole = trained(store, tmp_path / "whole", *settings)

    interrupt(store, tmp_path / "cut", 1, *settings)
    resumed = trained(store, tmp_path / "cut", *settings)
    assert all(torch.equal(resumed[name], value) for name, value in whole.items())
    best = load_checkpoint(tmp_path / "whole")
    name = "backbone.convInit.conv.weight"
    assert not torch.equal(best.tensors[f"model.{name}"], whole[f"model.{name}"])
    assert len(read_metrics(tmp_path / "cut")) == 3


def test_the_average_of_constant_weights_is_those_and_forgets_the_first():
    network = build_network(tiny_config().model, n_classes=3, arm="single", seed=0)
    average = Average(network, 0.9)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(2.0)
    for _ in range(200):
        average.update()
    for parameter in average.network.parameters():
        torch.testing.assert_close(parameter, torch.full_like(parameter, 2.0))


def test_frozen_stages_keep_their_moments_too():
    """Of a body that normalises by batches, what is frozen normalises by what it knew."""
    config = with_settings(preset("best"), ["init.imagenet=false"])
    network = build_network(config.model, n_classes=0, arm="single", seed=0)
    network.freeze(2)
    network.train()
    buffers = dict(network.named_buffers())
    frozen = [layer for stage in network.backbone.stages()[:2] for layer in stage]
    kept = {id(value) for layer in frozen for value in layer.buffers()}
    before = {name: value.clone() for name, value in buffers.items()}
    images = torch.randn(2, 3, 32, 32, 1)
    network(images)
    refresh_moments(network, [images])
    for name, value in buffers.items():
        assert value.equal(before[name]) == (id(value) in kept), name
    assert 0 < len(kept) < len(buffers)
    assert has_moments(network)
    network.freeze(64)
    assert not has_moments(network)


def mixed(began, now, share):
    return {
        name: torch.lerp(now[name], began[name], share)
        if now[name].is_floating_point()
        else now[name]
        for name in now
    }


def test_what_is_kept_lies_between_the_start_and_the_end(store, first, tmp_path):
    """To the share that is asked for; what a resumed run goes on with is the end alone."""
    began = load_checkpoint(first).tensors
    settings = ("optimiser.ema=0.5", "optimiser.epochs=2", f"init.run={first}")
    plain = trained(store, tmp_path / "plain", *settings)
    last = trained(store, tmp_path / "half", *settings, "init.interpolate=0.25")
    assert last.keys() == plain.keys()
    assert all(torch.equal(value, plain[name]) for name, value in last.items())
    end, kept = (load_checkpoint(tmp_path / name).tensors for name in ("plain", "half"))
    for name, value in mixed(began, end, 0.25).items():
        torch.testing.assert_close(kept[name], value, msg=name)


def test_a_mixture_is_the_same_after_an_interruption(store, first, tmp_path):
    settings = ("optimiser.epochs=3", f"init.run={first}", "init.interpolate=0.5")
    trained(store, tmp_path / "whole", *settings)

    interrupt(store, tmp_path / "cut", 2, *settings)
    trained(store, tmp_path / "cut", *settings)
    one, other = (load_checkpoint(tmp_path / name).meta for name in ("whole", "cut"))
    assert one.sha256 == other.sha256


def test_a_mixture_measures_its_own_moments(tmp_path, monkeypatch):
    """Those between the ones of its ends are of neither network."""
    asked = []
    monkeypatch.setattr(run_module, "refresh_moments", lambda one, _: asked.append(one))
    monkeypatch.setattr(run_module, "has_moments", lambda _: True)
    store = tiny_store(tmp_path / "store", n=4, shape=SMALL_SHAPE)
    for share in (0.0, 0.5):
        settings = ("patches.size=[16,16,16]", f"init.interpolate={share}")
        split = hand_split(store, validation=("P00",), test=())
        trainer = Trainer(store, tmp_path / "run", tiny_config(*settings), split, workers=1)
        kept = trainer.evaluation_network()
        assert asked[-1] is kept
        assert kept is trainer.kept.network
        assert (kept is trainer.average.network) == (share == 0.0)


def test_a_mixture_of_nothing_is_refused(store, tmp_path):
    with pytest.raises(ConfigError, match=r"init\.interpolate"):
        trained(store, tmp_path / "run", "init.interpolate=0.5")
    assert not (tmp_path / "run").exists()
    for share in ("1", "-0.1"):
        with pytest.raises(ConfigError, match="interpolate"):
            tiny_config("init.run=somewhere", f"init.interpolate={share}")
