"""Checkpoints: exact, whole or not at all, and never a pickle."""

import json
import re
import resource
from pathlib import Path

import pytest
import torch

import plgg
from plgg.core.errors import CheckpointError, OutputError
from plgg.core.files import sha256, temporary_name
from plgg.core.folders import clear_leftovers
from plgg.model import checkpoint as module
from plgg.model.checkpoint import (
    load_checkpoint,
    optimiser_tensors,
    read_meta,
    restore_optimiser,
    save_checkpoint,
    unprefixed,
)
from plgg.model.network import build_network
from tiny import tiny_config

CONFIG = tiny_config()
CLASSES = ("a", "b", "c")


def network_of(seed, config=CONFIG):
    return build_network(config.model, n_classes=3, arm=config.arm, seed=seed)


def weights_of(network):
    return {f"model.{name}": value for name, value in network.state_dict().items()}


def save(run, tensors, *, name="last", epoch=1, config=CONFIG, **metrics):
    save_checkpoint(
        run / "checkpoints",
        name,
        tensors,
        epoch=epoch,
        config=config,
        classes=CLASSES,
        metrics=metrics,
        best_dice=metrics.get("dice"),
    )


@pytest.fixture
def run(tmp_path):
    save(
        tmp_path, weights_of(network_of(0)), dice=0.1 + 0.2, marker_auc=None, marker_collapsed=True
    )
    return tmp_path


def edit(run, change, name="last"):
    path = run / "checkpoints" / f"{name}.json"
    raw = json.loads(path.read_text())
    change(raw)
    path.write_text(json.dumps(raw))


def test_round_trip_is_exact(run):
    read = load_checkpoint(run, "last")
    assert read.meta.epoch == 1
    assert read.meta.config == CONFIG
    assert read.meta.classes == CLASSES
    assert read.meta.metrics == {"dice": 0.1 + 0.2, "marker_auc": None, "marker_collapsed": True}
    assert read.meta.metrics["marker_collapsed"] is True
    expected, found = network_of(0).state_dict(), read.network().state_dict()
    assert list(expected) == list(found)
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_types_and_odd_layouts_survive(tmp_path):
    tensors = {
        "model.a": torch.randn(2, 3, 4, 5, 6).to(memory_format=torch.channels_last_3d),
        "model.b": torch.tensor(3.0),
        "model.c": torch.randn(4, 4).bfloat16().T,
        "model.d": torch.empty(0),
    }
    save(tmp_path, tensors)
    read = load_checkpoint(tmp_path, "last").tensors
    assert set(read) == set(tensors)
    for name, value in tensors.items():
        assert read[name].dtype == value.dtype
        assert torch.equal(read[name], value)
    assert set(unprefixed(read, "model.")) == set("abcd")


@pytest.mark.parametrize("fused", [False, True])
def test_an_optimiser_goes_on_as_if_never_interrupted(tmp_path, fused):
    """Also in channels-last weights, whose moments come back from the file in another layout."""
    image = torch.randn(1, 1, 8, 8, 8, generator=torch.manual_seed(0))

    def made(seed):
        network = network_of(seed)
        optimiser = torch.optim.Adam(network.parameters(), lr=1e-2, weight_decay=1e-3, fused=fused)
        return network.eval(), optimiser

    def step(network, optimiser):
        optimiser.zero_grad()
        outputs = network(image)
        (outputs["segmentation"].square().mean() + outputs["marker"].square().sum()).backward()
        optimiser.step()

    network, optimiser = made(0)
    step(network, optimiser)
    save(tmp_path, weights_of(network) | optimiser_tensors(optimiser))
    step(network, optimiser)
    step(network, optimiser)

    again, resumed = made(5)
    read = load_checkpoint(tmp_path, "last")
    again.load_state_dict(unprefixed(read.tensors, "model."))
    restore_optimiser(resumed, read.tensors)
    step(again, resumed)
    step(again, resumed)
    expected, found = network.state_dict(), again.state_dict()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_the_fused_optimiser_is_adam():
    """Weights, gradients and moments in channels-last must be walked in one order."""
    found = []
    for fused in (False, True):
        network = network_of(0).eval()
        optimiser = torch.optim.Adam(network.parameters(), lr=1e-3, fused=fused)
        image = torch.randn(1, 1, 8, 8, 8, generator=torch.manual_seed(0))
        for _ in range(2):
            optimiser.zero_grad()
            network(image)["segmentation"].square().mean().backward()
            optimiser.step()
        found.append(network.state_dict())
    for name, value in found[0].items():
        torch.testing.assert_close(found[1][name], value, rtol=1e-3, atol=2e-5)


def test_one_altered_byte_is_refused(run):
    (weights,) = (run / "checkpoints").glob("last-*.safetensors")
    raw = bytearray(weights.read_bytes())
    raw[-7] ^= 1
    weights.write_bytes(raw)
    with pytest.raises(CheckpointError, match="SHA-256 differs") as caught:
        load_checkpoint(run, "last")
    assert str(weights) in str(caught.value)


def test_what_is_no_safetensors_file_is_refused(run):
    (weights,) = (run / "checkpoints").glob("last-*.safetensors")
    weights.write_bytes(b"\x80\x04 a pickle?")
    edit(run, lambda raw: raw.update(sha256=sha256(weights)))
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        load_checkpoint(run, "last")


@pytest.mark.parametrize("version", [0, 3, "1", None, [1]])
def test_another_version_is_refused_in_one_line(run, version):
    edit(run, lambda raw: raw.update(version=version))
    with pytest.raises(CheckpointError, match="Update plgg") as caught:
        load_checkpoint(run, "last")
    assert "\n" not in str(caught.value)


def test_a_checkpoint_of_the_first_version_takes_its_scans_as_they_were_then(run):
    def first(raw):
        raw["config"].pop("preprocess")
        raw.update(version=1)

    edit(run, first)
    assert read_meta(run, "last").config.preprocess.registration == "centre"


def test_an_older_version_goes_through_its_upgrade(run, monkeypatch):
    def upgrade(raw):
        kept = {name: value for name, value in raw.items() if name != "labels"}
        return {**kept, "version": 1, "classes": raw["labels"]}

    edit(run, lambda raw: raw.update(version=0, labels=raw.pop("classes")))
    monkeypatch.setitem(module.UPGRADES, 0, upgrade)
    assert read_meta(run, "last").classes == CLASSES


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda raw: raw.update(colour=1), "colour"),
        (lambda raw: raw.pop("epoch"), "epoch"),
        (lambda raw: raw.update(classes=["a", "b", "a"]), "the class 'a' stands in it twice"),
        (lambda raw: raw["config"].update(colour=1), "config.colour"),
        (lambda raw: raw["config"]["patches"].update(size=[20, 20, 20]), "multiples of 8"),
    ],
)
def test_a_meta_that_does_not_fit_is_named(run, change, words):
    edit(run, change)
    with pytest.raises(CheckpointError, match=words) as caught:
        read_meta(run, "last")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', "\x00"])
def test_a_meta_that_is_no_json_object_is_refused(run, text):
    (run / "checkpoints" / "last.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"last\.json"):
        load_checkpoint(run, "last")


def test_missing_pieces_are_named(run, tmp_path):
    with pytest.raises(CheckpointError, match=r"no checkpoint 'best'.*plgg train"):
        load_checkpoint(run, "best")
    with pytest.raises(CheckpointError, match="no checkpoint"):
        load_checkpoint(tmp_path / "nowhere", "last")
    next((run / "checkpoints").glob("last-*.safetensors")).unlink()
    with pytest.raises(CheckpointError, match="weights are missing"):
        load_checkpoint(run, "last")


@pytest.mark.parametrize("setting", ["model.init_filters=16", "arm=single"])
def test_tensors_of_another_network_are_refused(tmp_path, setting):
    save(tmp_path, weights_of(network_of(0)), config=tiny_config(setting))
    with pytest.raises(CheckpointError, match="do not fit"):
        load_checkpoint(tmp_path, "last").network()


def test_a_later_checkpoint_replaces_its_own_kind_only(run):
    save(run, weights_of(network_of(1)), name="best", epoch=1)
    save(run, weights_of(network_of(2)), epoch=2)
    names = sorted(path.name for path in (run / "checkpoints").iterdir())
    assert names == ["best-0001.safetensors", "best.json", "last-0002.safetensors", "last.json"]
    assert load_checkpoint(run, "last").meta.epoch == 2


def test_a_crash_between_tensors_and_meta_leaves_the_older_checkpoint(run):
    folder = run / "checkpoints"
    meta = (folder / "last.json").read_bytes()
    older = (folder / "last-0001.safetensors").read_bytes()
    save(run, weights_of(network_of(1)), epoch=2)
    # As if killed after the new tensors were renamed into place, and while more were written.
    (folder / "last.json").write_bytes(meta)
    (folder / "last-0001.safetensors").write_bytes(older)
    temporary_name(folder / "last-0003.safetensors").write_bytes(older[: len(older) // 2])
    assert load_checkpoint(run, "last").meta.epoch == 1
    # The next command clears up, and its save goes through.
    clear_leftovers(folder)
    save(run, weights_of(network_of(1)), epoch=2)
    assert load_checkpoint(run, "last").meta.epoch == 2
    assert sorted(p.name for p in folder.iterdir()) == ["last-0002.safetensors", "last.json"]


def test_a_full_disk_is_one_clear_line_and_leaves_the_older_checkpoint(run):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(OutputError, match=r"last-0002.*could not be written") as caught:
            save(run, weights_of(network_of(1)), epoch=2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(caught.value)
    assert load_checkpoint(run, "last").meta.epoch == 1
    names = sorted(path.name for path in (run / "checkpoints").iterdir())
    assert names == ["last-0001.safetensors", "last.json"]


def test_others_may_read_the_weights_as_they_may_the_meta(run):
    modes = {path.stat().st_mode & 0o777 for path in (run / "checkpoints").iterdir()}
    assert len(modes) == 1


def test_no_pickle_anywhere():
    pattern = re.compile(r"torch\.(load|save)\b|\bimport (pickle|dill|joblib)\b|allow_pickle")
    sources = list(Path(plgg.__file__).parent.rglob("*.py"))
    assert len(sources) > 30
    found = [path.name for path in sources if pattern.search(path.read_text("utf-8"))]
    # Published weights, of a known hash and as weights alone; those of nnU-Net, as weights and
    # numbers alone. Between a process and the workers that it started itself: never from a file.
    assert sorted(found) == ["efficientnet.py", "nnunet_checkpoint.py", "worker.py"]
    weights = next(path for path in sources if path.name == "efficientnet.py").read_text("utf-8")
    assert "torch.load(path, weights_only=True" in weights
