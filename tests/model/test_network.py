"""The network: its size, its shapes, and what both arms share."""

import pytest
import torch
from monai.networks.nets import SegResNet
from monai.networks.utils import pixelshuffle, pixelunshuffle

from plgg.config import preset
from plgg.model.device import Runtime, choose_runtime
from plgg.model.layers import SeededDropout, Standardise, from_blocks, to_blocks
from plgg.model.network import MultitaskNet, build_network
from tiny import tiny_config

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def paper():
    with torch.device("meta"):
        return MultitaskNet(preset("paper").model, n_classes=3, arm="multitask")


def test_paper_has_18_8_million_parameters(paper):
    # The body alone is what the literature counts; the branch adds about 0.1 million.
    body = sum(p.numel() for p in paper.parameters())
    body -= sum(p.numel() for p in paper.heads["marker"].parameters())
    assert 18.7e6 < body < 18.9e6


def test_a_paper_patch_has_a_bottleneck_of_256_channels_and_16_16_14_voxels(paper):
    with torch.no_grad():
        image = torch.empty(1, 1, 128, 128, 112, device="meta")
        assert paper.encode(image)[0].shape == (1, 256, 16, 16, 14)


def tiny(arm="multitask", *settings, seed=0, n_classes=3):
    return build_network(tiny_config(*settings).model, n_classes=n_classes, arm=arm, seed=seed)


@pytest.mark.parametrize(
    ("down", "up"), [("[1,1]", "[1]"), ("[1,2,2,4]", "[1,1,1]"), ("[2]", "[]")]
)
def test_shapes_follow_the_settings(down, up):
    settings = (f"model.blocks_down={down}", f"model.blocks_up={up}")
    model = tiny_config(*settings).model
    network = tiny("multitask", *settings, n_classes=5).eval()
    with torch.no_grad():
        outputs = network(torch.zeros(2, 1, 16, 24, 8))
        bottleneck, _ = network.encode(torch.zeros(2, 1, 16, 24, 8))
    assert bottleneck.shape[1] == model.init_filters * model.divisor // model.stem
    assert bottleneck.shape[2:] == tuple(n // model.divisor for n in (16, 24, 8))
    assert outputs["segmentation"].shape == (2, 1, 16, 24, 8)
    assert outputs["marker"].shape == (2, 5)


def test_both_arms_start_from_the_same_body():
    single, multitask = tiny("single", seed=7), tiny("multitask", seed=7)
    alone, both = single.state_dict(), multitask.state_dict()
    assert set(both) - set(alone) == {name for name in both if name.startswith("heads.marker")}
    assert all(torch.equal(alone[name], both[name]) for name in alone)
    other = tiny("single", seed=8).state_dict()
    assert not torch.equal(
        alone["backbone.convInit.conv.weight"], other["backbone.convInit.conv.weight"]
    )


def test_building_leaves_the_global_generator_alone():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    tiny(seed=99)
    assert torch.equal(torch.rand(2), expected)


def test_outline_is_monais_own():
    """Taking the last layer out of the body and calling it apart changes nothing."""
    ours = tiny("single", "model.blocks_down=[1,2,2,4]", seed=4).eval()
    torch.manual_seed(4)
    theirs = SegResNet(
        spatial_dims=3,
        init_filters=8,
        in_channels=1,
        out_channels=1,
        norm=("GROUP", {"num_groups": 8}),
    ).eval()
    image = torch.randn(1, 1, 16, 16, 24, generator=torch.manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(ours(image)["segmentation"], theirs(image), rtol=1e-4, atol=1e-5)


def test_a_patch_does_not_see_its_neighbours_in_the_batch():
    network = tiny().eval()
    images = torch.randn(3, 1, 16, 16, 16, generator=torch.manual_seed(0))
    with torch.no_grad():
        together, alone = network(images), network(images[1:2])
    for head, value in alone.items():
        torch.testing.assert_close(together[head][1:2], value, rtol=1e-4, atol=1e-5)


def seen_much(batch=4, *, shared=50.0, apart=0.02):
    """A `Standardise` after 200 batches of features that are nearly alike in all patients."""
    layer = Standardise(3).train()
    generator = torch.Generator().manual_seed(0)

    def draw(n):
        return shared + apart * torch.randn(n, 3, generator=generator)

    for _ in range(300):
        layer(draw(batch))
        layer.update_running_stats()
    return layer.eval(), draw


@pytest.mark.parametrize("batch", [1, 4])
def test_standardise_brings_out_what_tells_patients_apart(batch):
    layer, draw = seen_much(batch, shared=5.0)
    out = layer(draw(500))
    assert out.mean(dim=0).abs().max() < 0.8
    assert (out.std(dim=0) - 1).abs().max() < 0.5


def test_standardise_does_not_look_at_neighbours_and_learns_nothing_after_training():
    layer, draw = seen_much()
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    features = draw(5)
    assert torch.equal(layer(features)[2:3], layer(features[2:3]))
    assert all(torch.equal(before[name], value) for name, value in layer.state_dict().items())


def test_standardise_without_training_passes_features_on():
    features = torch.randn(4, 3, generator=torch.manual_seed(0))
    torch.testing.assert_close(Standardise(3).eval()(features), features, rtol=1e-4, atol=1e-6)


def test_standardise_bears_a_first_batch_of_one_and_constant_features():
    layer = Standardise(3).train()
    for _ in range(3):
        out = layer(torch.full((1, 3), 7.0))
        layer.update_running_stats()
        assert out.abs().max() < 1.0


def test_the_raw_branch_has_no_standardise():
    raw = tiny("multitask", "model.marker.normalise=false").heads["marker"]
    assert not any(isinstance(layer, Standardise) for layer in raw.modules())


def test_the_branch_may_have_no_hidden_layer():
    network = tiny("multitask", "model.marker.hidden=[]").eval()
    with torch.no_grad():
        assert network(torch.zeros(1, 1, 8, 8, 8))["marker"].shape == (1, 3)


def test_bf16_is_near_float32_and_gives_finite_gradients():
    # 4 voxels at the bottleneck; at 2 oneDNN's gradients are wrong, which `train` steps around.
    image = torch.randn(1, 1, 32, 32, 32, generator=torch.manual_seed(0))
    network = tiny().eval()
    with torch.no_grad():
        exact = network(image)["segmentation"]
    with Runtime(CPU, bf16=True).autocast():
        outputs = network(image)
    rough = outputs["segmentation"].float()
    assert (exact - rough).abs().max() < 0.1 * exact.std() + 0.05
    (rough.mean() + outputs["marker"].float().square().sum()).backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters())


def test_precision_is_as_asked():
    assert choose_runtime("fp32").bf16 is False
    assert choose_runtime("bf16").bf16 is True
    assert choose_runtime("fp32").name.endswith("fp32")
    with choose_runtime("fp32").autocast():
        assert not torch.is_autocast_enabled("cpu")


STEM = ("model.stem=2", "model.blocks_down=[1,2,2]", "model.blocks_up=[1,1]")


def test_a_stem_of_two_gives_back_every_voxel_at_an_eighth_of_the_places():
    network = tiny("multitask", *STEM).eval()
    assert network.divisors == (8, 8, 8)
    image = torch.randn(2, 1, 16, 24, 8, generator=torch.manual_seed(0))
    with torch.no_grad():
        outputs = network(image)
        assert network.encode(image)[1][0].shape[2:] == (8, 12, 4)
    assert outputs["segmentation"].shape == image.shape


def test_a_stem_keeps_every_voxel_in_its_place():
    """What comes out lies where it went in: no axis is swapped on the way."""
    image = torch.arange(4.0 * 6 * 8).reshape(1, 1, 4, 6, 8)
    blocks = to_blocks(image, 2)
    assert blocks.shape == (1, 8, 2, 3, 4)
    assert torch.equal(from_blocks(blocks, 2), image)
    two = torch.randn(2, 3, 4, 6, 8)
    assert torch.equal(to_blocks(two, 2), pixelunshuffle(two, 3, 2))
    assert torch.equal(from_blocks(to_blocks(two, 2), 2), pixelshuffle(to_blocks(two, 2), 3, 2))
    assert set(blocks[0, :, 1, 2, 3].tolist()) == set(image[0, 0, 2:4, 4:6, 6:8].flatten().tolist())


def test_coarse_outlines_are_there_in_training_alone():
    network = tiny("single", "model.deep_supervision=2")
    image = torch.zeros(1, 1, 16, 24, 8)
    shapes = [outline.shape[2:] for outline in network.train()(image)["deep"]]
    assert shapes == [(8, 12, 4), (4, 6, 2)]
    with torch.no_grad():
        assert "deep" not in network.eval()(image)


def test_checkpointing_changes_no_gradient():
    image = torch.randn(1, 1, 16, 16, 16, generator=torch.manual_seed(0))
    found = []
    for checkpointing in (False, True):
        network = tiny("multitask", "model.dropout=0.3").train()
        network.checkpointing = checkpointing
        network.seed_dropout(torch.tensor([5]))
        outputs = network(image)
        (outputs["segmentation"].mean() + outputs["marker"].sum()).backward()
        found.append([p.grad for p in network.parameters()])
    for one, two in zip(*found, strict=True):
        torch.testing.assert_close(one, two)


def test_frozen_stages_have_no_gradient_and_the_others_do():
    network = tiny("single")
    network.freeze(2)
    frozen = {name for name, p in network.named_parameters() if not p.requires_grad}
    assert {name.split(".")[1] for name in frozen} == {"convInit", "down_layers"}
    assert {name.split(".")[2] for name in frozen if "down_layers" in name} == {"0", "1"}
    shared = {id(p) for p in network.encoder_parameters()}
    assert all(id(p) in shared for p in network.parameters() if not p.requires_grad)


def test_dropout_belongs_to_the_patch():
    """Alone or among others, a patch loses the same features; another layer or seed, others."""
    layer = SeededDropout(0.5).train()
    features = torch.ones(3, 400)
    layer.draw(torch.tensor([7, 8, 9]), 0)
    together = layer(features)
    layer.draw(torch.tensor([8]), 0)
    assert torch.equal(layer(features[:1]), together[1:2])
    layer.draw(torch.tensor([8]), 1)
    assert not torch.equal(layer(features[:1]), together[1:2])
    assert set(together.unique().tolist()) == {0.0, 2.0}
    assert together.mean() == pytest.approx(1.0, abs=0.1)
    assert torch.equal(layer.eval()(features), features)


def test_dropout_takes_whole_channels_of_an_image():
    layer = SeededDropout(0.5).train()
    layer.draw(torch.tensor([1]), 0)
    dropped = layer(torch.ones(1, 50, 2, 3, 4)).flatten(2)
    assert torch.equal(dropped.amin(dim=2), dropped.amax(dim=2))


@pytest.mark.parametrize("parts", [[4], [1, 3], [2, 1, 1]])
def test_standardise_learns_the_same_from_a_batch_and_from_its_pieces(parts):
    features = torch.randn(4, 3, generator=torch.manual_seed(0)) + 5.0
    layer = Standardise(3).train()
    for piece in features.split(parts):
        layer(piece)
    layer.update_running_stats()
    torch.testing.assert_close(layer.mean, 0.05 * features.mean(dim=0))
    torch.testing.assert_close(layer.square, 0.05 * features.square().mean(dim=0))
    assert float(layer.weight) == pytest.approx(0.05)
