"""Backbones: what goes in and comes out, whichever they are."""

import pytest
import torch
from torch import nn

from plgg.config import Config, ModelConfig, PatchConfig
from plgg.core.errors import ConfigError
from plgg.model.backbone import BACKBONES, build_backbone, register_backbone
from plgg.model.checkpoint import network_of
from plgg.model.network import build_network
from plgg.train.run import train
from tiny import hand_split, tiny_config, tiny_store

SETTINGS = {
    "segresnet": ModelConfig(init_filters=8, blocks_down=(1, 1, 1), blocks_up=(1, 1)),
    "swin_unetr": ModelConfig(backbone="swin_unetr", init_filters=12, norm_groups=4),
}


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("n_channels", [1, 2])
def test_features_have_the_widths_and_sides_that_the_backbone_says(name, n_channels):
    backbone = build_backbone(SETTINGS[name], n_channels).eval()
    sides = (64, 32, 96)
    with torch.inference_mode():
        features = backbone.encode(torch.randn(1, n_channels, *sides))
        decoded = backbone.decode(features)
    for level, found in enumerate(features):
        assert found.shape == (1, backbone.widths[level], *(side // 2**level for side in sides))
    assert [one.shape for one in decoded] == [one.shape for one in features[::-1]]


@pytest.mark.parametrize("name", SETTINGS)
def test_a_network_learns_one_case(name):
    settings = SETTINGS[name]
    network = build_network(settings, n_classes=3, arm="multitask", seed=0).train()
    image = torch.zeros(1, 1, 64, 32, 32)
    image[:, :, 8:20, 8:24, 10:26] = 2.0
    mask = (image > 1).float()
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    losses = []
    for step in range(12):
        network.seed_dropout(torch.tensor([step]))
        loss = nn.functional.binary_cross_entropy_with_logits(network(image)["segmentation"], mask)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("name", SETTINGS)
def test_freezing_a_stage_freezes_its_layers_and_no_other(name):
    network = build_network(SETTINGS[name], n_classes=3, arm="single", seed=0)
    network.freeze(1)
    first = {id(p) for layer in network.backbone.stages()[0] for p in layer.parameters()}
    frozen = {id(p) for p in network.parameters() if not p.requires_grad}
    assert first
    assert frozen == first


class Slices(nn.Module):
    """A 2-D backbone of two levels: every slice by itself."""

    widths = (8, 16)

    def __init__(self, settings, n_channels):
        assert settings.backbone == "slices"
        super().__init__()
        self.fine = nn.Conv3d(n_channels, 8, (3, 3, 1), padding=(1, 1, 0))
        self.coarse = nn.Conv3d(8, 16, 2, stride=2)
        self.up = nn.ConvTranspose3d(16, 8, 2, stride=2)

    def encode(self, image):
        fine = self.fine(image).relu()
        return [fine, self.coarse(fine).relu()]

    def decode(self, features):
        return [features[-1], self.up(features[-1]) + features[0]]

    def head(self, out):
        return nn.Sequential(nn.Conv3d(8, out, 1))

    def stages(self):
        return [[self.fine], [self.coarse]]


def test_a_backbone_from_elsewhere_is_trained(tmp_path):
    register_backbone("slices", Slices)
    try:
        store = tiny_store(tmp_path / "store")
        config = tiny_config(
            "model.backbone=slices", "model.blocks_down=[1,1]", "model.blocks_up=[1]",
            "optimiser.epochs=1",
        )  # fmt: skip
        train(store, tmp_path / "run", config, hand_split(store))
        assert (tmp_path / "run" / "checkpoints" / "best.json").is_file()
    finally:
        del BACKBONES["slices"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"backbone": "unknown"}, "no backbone is called 'unknown'"),
        ({"backbone": "swin_unetr", "init_filters": 32}, "a multiple of 12"),
        ({"backbone": "swin_unetr", "init_filters": 24, "dropout": 0.1}, "no dropout"),
    ],
)
def test_what_does_not_fit_is_one_line(settings, message):
    with pytest.raises(ConfigError, match=message):
        build_backbone(ModelConfig(**settings), 1)


@pytest.mark.parametrize("name", SETTINGS)
def test_weights_are_read_back(name):
    config = Config(model=SETTINGS[name], patches=PatchConfig(size=(64, 64, 64)))
    network = build_network(config.model, n_classes=3, arm=config.arm, seed=3).eval()
    again = network_of(config, 3, network.state_dict(), where="here").eval()
    image = torch.randn(1, 1, 64, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(
            again(image)["segmentation"], network(image)["segmentation"], rtol=0, atol=0
        )
        assert network(image)["segmentation"].shape == image.shape
